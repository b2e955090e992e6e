"""Two examples of each command, shown below its help. Tests run them in a folder that holds these files."""

EXAMPLES: dict[str, tuple[str, str]] = {
    "embed": ("onek embed photos/ -o templates.parquet", "onek embed party.jpg --faces all -o party.parquet"),
    "identify": ("onek identify door.jpg -g gallery", "onek identify visitors/ -g gallery -o results.csv --fpir 2%"),
    "group": ("onek group all.parquet -o groups.parquet", "onek group album.parquet --sheet sheets"),
    "verify": ("onek verify door.jpg kian -g gallery", "onek verify door.jpg kian -g gallery --fmr 0.1%"),
    "build-index": ("onek build-index people.parquet -o g", "onek build-index vectors.npy --names names.txt -o g"),
    "import": (
        "onek import deepface representations.pkl -o imported.parquet",
        "onek import insightface vectors.npy --names names.txt -o named.parquet",
    ),
    "export": ("onek export people.parquet -o parts", "onek export found.parquet -o decided --by decision"),
    "info": ("onek info gallery", "onek info gallery --json"),
    "merge": ("onek merge gallery other -o both", "onek merge gallery copy -o both --on-duplicate skip"),
    "calibrate": ("onek calibrate gallery", "onek calibrate gallery --strangers strangers.parquet"),
    "enroll": ("onek enroll door.jpg --identity kian -g gallery", "onek enroll newcomers/ -g gallery --on-match refuse"),
    "remove": ("onek remove kian -g gallery", "onek remove --from names.txt -g gallery"),
    "rename": ("onek rename kian 'Kian Roe' -g gallery", "onek rename kian lena -g gallery --merge"),
    "list": ("onek list gallery --sort templates | head -3", "onek list gallery --match 'k*' --count"),
    "show": ("onek show kian -g gallery", "onek show kian -g gallery --json"),
    "erase": ("onek erase kian gallery people.parquet", "onek erase kian gallery --receipt receipt.json"),
    "compact": ("onek compact gallery", "onek compact gallery --wait 60"),
    "check": ("onek check gallery", "onek check gallery --repair"),
    "backup": ("onek backup gallery saved", "onek backup gallery copy --overwrite"),
    "doctor": ("onek doctor", "onek doctor --json"),
    "config": ("onek config", "onek config --json"),
    "audit": ("onek audit gallery -o audit.csv", "onek audit gallery -o audit.csv --most 20"),
    "explain": ("onek explain door.jpg -g gallery -o why.png", "onek explain door.jpg -g gallery -o why.pdf --identity lena"),
    "evaluate": ("onek evaluate many.parquet -o report", "onek evaluate many.parquet -o report --splits 3 --fpir 5%"),
    "report": ("onek report found.parquet -o sheet.html", "onek report found.parquet -o sheet.html --photos ."),
    "serve": ("onek serve gallery", "onek serve gallery --port 8080 --max-faces 5"),
    "encoders": ("onek encoders", "onek encoders --json"),
    "train": ("onek train photos/ -o mine.keras", "onek train photos/ -o mine.keras --from dlib-resnet"),
    "train-projection": ("onek train-projection all.parquet -o p.npz", "onek train-projection all.parquet -o p.npz --dim 8"),
    "train-head": ("onek train-head all.parquet -o h.npz", "onek train-head all.parquet -o h.npz --form absolute"),
    "project": (
        "onek project all.parquet --projection learnt.npz -o u.parquet",
        "onek project all.parquet --projection learnt.npz -o u.parquet --overwrite",
    ),
    "explain-encoder": (
        "onek explain-encoder photos/ -o channels.png",
        "onek explain-encoder photos/ -o channels.pdf --layers 3 --channels 2",
    ),
    "stylise": (
        "onek stylise door.jpg party.jpg -o styled.png --side 150 --steps 2",
        "onek stylise door.jpg party.jpg -o styled.png --side 150 --steps 3 --every 2",
    ),
    "help": ("onek help", "onek help identify"),
    "demo": ("onek demo", "onek demo --out drawn --enrolled 60 --strangers 30"),
}


def below(name: str) -> str | None:
    """What stands below the help of a command: lines that are kept as they are."""
    return None if name not in EXAMPLES else "\n".join(["\b", "Examples:", *(f"  {line}" for line in EXAMPLES[name])])
