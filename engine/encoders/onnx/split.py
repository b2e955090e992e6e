"""Cut an ONNX network in two."""

import onnx
from onnx.utils import Extractor


def split_before(model: bytes, convolution: int) -> tuple[bytes, bytes]:
    """The network up to its convolution of this number (from 0, in the file's order), and from there on.

    Nothing but what the convolution takes may lead from the first part to the second.
    """
    whole = onnx.shape_inference.infer_shapes(onnx.load_model_from_string(model))
    convolutions = [node for node in whole.graph.node if node.op_type == "Conv"]
    between = convolutions[convolution].input[0]
    extractor = Extractor(whole)
    beginning = extractor.extract_model([whole.graph.input[0].name], [between])
    rest = extractor.extract_model([between], [whole.graph.output[0].name])
    return beginning.SerializeToString(), rest.SerializeToString()
