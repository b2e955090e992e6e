// Shows /v1/openapi.json: every path, what it takes, and what it answers.
"use strict";

let texts = {};

function say(key, values = {}) {
  return (texts[key] ?? key).replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ""));
}

function made(tag, text, attributes = {}) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

function kind(schema) {
  if (!schema) return "";
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.anyOf) return schema.anyOf.map(kind).join(" | ");
  if (schema.enum) return schema.enum.map((each) => JSON.stringify(each)).join(" | ");
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.type === "array") return `[${kind(schema.items)}]`;
  return [schema.type, schema.format].filter(Boolean).join(", ") || "any";
}

function table(headings, rows, label) {
  const box = made("div", undefined, { class: "wide", tabindex: "0", role: "region", "aria-label": label });
  const shown = box.appendChild(made("table"));
  const head = shown.appendChild(made("thead")).appendChild(made("tr"));
  for (const heading of headings) head.append(made("th", heading, { scope: "col" }));
  const body = shown.appendChild(made("tbody"));
  for (const row of rows) {
    const line = body.appendChild(made("tr"));
    row.forEach((cell, at) => line.appendChild(made("td")).append(at < 2 ? made("code", cell) : cell));
  }
  return box;
}

function fields(schema, label) {
  const rows = Object.entries(schema.properties ?? {}).map(([name, each]) => [name, kind(each), each.description ?? ""]);
  return table(["api_field", "api_type", "api_what"].map((key) => say(key)), rows, label);
}

async function fetched(path) {
  return (await fetch(path, { signal: AbortSignal.timeout(8000) })).json();
}

async function show() {
  texts = await fetched("texts.json");
  for (const element of document.querySelectorAll("[data-text]")) element.textContent = say(element.dataset.text);
  for (const element of document.querySelectorAll("[data-label]")) element.setAttribute("aria-label", say(element.dataset.label));
  const described = await fetched("v1/openapi.json");
  const about = document.getElementById("about");
  about.append(made("h2", `${described.info.title} ${described.info.version}`));
  for (const part of described.info.description.split("\n\n")) about.append(made("p", part.replaceAll("**", "")));
  const where = document.getElementById("operations");
  for (const [path, item] of Object.entries(described.paths)) {
    for (const [method, operation] of Object.entries(item)) {
      const card = where.appendChild(made("div", undefined, { class: "card" }));
      const title = `${method.toUpperCase()} ${path}`;
      const heading = card.appendChild(made("h2"));
      heading.append(made("code", title));
      card.append(made("p", operation.summary ?? ""), made("p", operation.description ?? ""));
      const taken = (operation.parameters ?? []).map((each) => [
        each.name, kind(each.schema), [each.in, each.required ? say("api_required") : "", each.description ?? ""].filter(Boolean).join("; "),
      ]);
      if (taken.length) {
        const columns = ["api_name", "api_type", "api_what"].map((key) => say(key));
        card.append(made("h3", say("api_parameters")), table(columns, taken, say("api_parameters_of", { title })));
      }
      if (operation.requestBody) card.append(made("h3", say("api_body")), made("p", Object.keys(operation.requestBody.content).join(", ")));
      const success = Object.entries(operation.responses).find(([status]) => status.startsWith("2"));
      const schema = success?.[1].content?.["application/json"]?.schema;
      for (const name of (schema?.anyOf ?? [schema]).map((each) => each?.$ref?.split("/").pop()).filter(Boolean)) {
        const answer = say("api_answer", { status: success[0], name });
        card.append(made("h3", answer), fields(described.components.schemas[name], say("api_fields_of", { name, title })));
      }
    }
  }
  where.append(made("h2", say("api_shapes")));
  for (const [name, schema] of Object.entries(described.components.schemas)) {
    const card = where.appendChild(made("div", undefined, { class: "card" }));
    card.append(made("h3", name), made("p", schema.description ?? ""), fields(schema, say("api_fields_of", { name, title: say("api_shapes") })));
  }
}

show().catch((error) => {
  document.getElementById("trouble").hidden = false;
  throw error;
});
