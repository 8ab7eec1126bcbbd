// The results as a table: sorted, filtered, a page at a time; what the pictures show can be had here by keyboard.
import { h, useEffect, useId, useState } from "./react.js";
import { ask, page, tell, thumbnail } from "./server.js";
import { clock, labelled, number, regimeName } from "./words.js";

const ROWS = 20;
const MOST_BY_ADDRESS = 50; // keys

/** What the server says of the results that are wanted, asked again when `fresh` changes: `{answer, error}`. */
export function useTable(root, agent, wanted, fresh) {
  const [told, setTold] = useState({});
  const question = JSON.stringify(wanted);
  useEffect(() => {
    let current = true;
    const { keys, ...query } = JSON.parse(question);
    const flags = { ...query, agent, down: query.down ? 1 : 0, novel: query.novel ? 1 : undefined };
    const going = !keys
      ? ask("table", root, flags)
      : keys.length <= MOST_BY_ADDRESS
        ? ask("table", root, { ...flags, keys: keys.join(",") })
        : tell("table", root, { ...flags, keys: keys.slice(0, 2000) });
    going.then(
      (answer) => current && setTold({ answer }),
      (error) => current && setTold((old) => ({ ...old, error })),
    );
    return () => void (current = false);
  }, [root, agent, question, fresh]);
  return told;
}

const FIRST = { sort: "t", down: true, offset: 0, limit: ROWS, filter: "", novel: false, regime: "", status: "" };

/** `keys` are those of a lasso, or those alike in their order (`ordered`); `chosen` says in words which. */
export function Results({ scene, root, pictures, agent, fresh, keys, ordered, chosen, selected, only, onPick, onClear, onAlike, asking, onNameOf }) {
  const [wanted, want] = useState(FIRST);
  const change = (more) => want((old) => ({ ...old, offset: 0, ...more }));
  useEffect(() => change({ regime: only ?? "" }), [only]);
  useEffect(() => change({}), [keys]);
  const limited = ordered ? { ...wanted, offset: 0, limit: 50, keys: keys.slice(0, 50) } : keys ? { ...wanted, keys } : wanted;
  const { answer, error } = useTable(root, agent, limited, fresh);
  return h(
    "section",
    { className: "panel results", "aria-label": "results", "data-ainerd": "table" },
    h(Filters, { wanted, change, scene, chosen, onClear, onAlike, asking, onNameOf }),
    error && h("p", { className: "bad", role: "alert" }, `The table cannot be read: ${error.message}`),
    answer ? h(Table, { answer, wanted, want, scene, root, pictures, selected, onPick, order: ordered ? keys : null, sort: (name) => change({ sort: name, down: wanted.sort === name ? !wanted.down : name !== "scan" }) }) : !error && h("p", { className: "nothing" }, "reading the table…"),
  );
}

function Filters({ wanted, change, scene, chosen, onClear, onAlike, onNameOf }) {
  const id = useId();
  return h(
    "form",
    { className: "filters", onSubmit: (event) => event.preventDefault(), role: "search" },
    h("h2", null, "Results"),
    h("label", { htmlFor: id, className: "unseen" }, "words in sample, note, reason, status"),
    h("input", { id, type: "search", placeholder: "filter: sample, note, reason…", value: wanted.filter, onChange: (e) => change({ filter: e.target.value }) }),
    h("label", null, h("span", { className: "unseen" }, "regime"), h("select", { value: wanted.regime, onChange: (e) => change({ regime: e.target.value }), "aria-label": "regime" }, h("option", { value: "" }, "all regimes"), scene.regimes.map((each) => h("option", { key: each.id, value: each.id }, regimeName(each.id, scene.regimes))))),
    h("label", null, h("select", { value: wanted.status, onChange: (e) => change({ status: e.target.value }), "aria-label": "status" }, h("option", { value: "" }, "any status"), ["complete", "partial", "growing", "failed", "computing"].map((name) => h("option", { key: name, value: name }, name)))),
    h("label", { className: "row" }, h("input", { type: "checkbox", checked: wanted.novel, onChange: (e) => change({ novel: e.target.checked }) }), "novel only"),
    chosen && h("span", { className: "chosen", role: "status", "data-ainerd": "chosen" }, chosen.text, chosen.alike && h("button", { type: "button", onClick: onAlike }, "others like these"), chosen.regime && onNameOf && h("button", { type: "button", onClick: () => onNameOf(chosen.regime) }, `name regime ${chosen.regime.id}`), h("button", { type: "button", className: "quiet", onClick: onClear }, "show all")),
  );
}

function Table({ answer, wanted, want, scene, root, pictures, selected, onPick, order, sort }) {
  const more = answer.columns.filter((column) => !KNOWN.has(column.name));
  const [xName, yName] = scene.motors;
  const title = (name) => answer.columns.find((column) => column.name === name);
  const columns = [
    ["scan", "scan"], ["t", "time"], ["sample", "sample"], ["x", labelled(xName ?? "x", scene.units[xName])],
    ...(yName ? [["y", labelled(yName, scene.units[yName])]] : []), ["regime", "regime"], ["p", "p"], ["novel", "novel"],
    ...more.map((column) => [column.name, labelled((column.title ?? column.name).replaceAll("_", " "), column.unit)]), ["status", "status"],
  ].filter(([name]) => title(name)?.name || !["sample"].includes(name)); // prettier-ignore
  const rows = order ? answer.rows.toSorted((a, b) => order.indexOf(a.key) - order.indexOf(b.key)) : answer.rows;
  const last = Math.min(answer.offset + rows.length, answer.found);
  const sorted = (name) => (order || wanted.sort !== name ? undefined : wanted.down ? "descending" : "ascending");
  return h(
    "div",
    null,
    h(
      "div",
      { className: "scroll", tabIndex: 0, role: "region", "aria-label": "table of results" },
      h(
        "table",
        null,
        h("thead", null, h("tr", null, h("th", { scope: "col" }, h("span", { className: "unseen" }, "picture")), columns.map(([name, text]) => h("th", { key: name, scope: "col", "aria-sort": sorted(name) }, h("button", { type: "button", className: "text", onClick: () => sort(name) }, text, sorted(name) ? h("span", { "aria-hidden": true }, wanted.down ? " ↓" : " ↑") : null))), h("th", { scope: "col" }, h("span", { className: "unseen" }, "page")))),
        h("tbody", null, rows.map((row) => h(Row, { key: row.key, row, columns, scene, root, picture: thumbnail(root, row.key, pictures?.[row.technique]), isSelected: row.key === selected, onPick }))),
      ),
    ),
    h(
      "p",
      { className: "row pager" },
      h("span", { role: "status" }, answer.found ? `${answer.offset + 1} to ${last} of ${answer.found}${answer.found < answer.n ? ` (of ${answer.n})` : ""}` : "none"),
      !order && h("button", { type: "button", disabled: answer.offset === 0, onClick: () => want({ ...wanted, offset: Math.max(0, answer.offset - ROWS) }) }, "newer rows"),
      !order && h("button", { type: "button", disabled: last >= answer.found, onClick: () => want({ ...wanted, offset: answer.offset + ROWS }) }, "further rows"),
    ),
  );
}

const KNOWN = new Set(["scan", "t", "sample", "x", "y", "regime", "p", "novel", "status", "reason", "note", "technique", "key"]);

function Row({ row, columns, scene, root, picture, isSelected, onPick }) {
  const known = scene.regimes.find((each) => each.id === row.regime);
  const cell = (name) => {
    if (name === "t") return clock(row.t);
    if (name === "x" || name === "y") return Number.isFinite(row[name]) ? row[name].toFixed(2) : "";
    if (name === "regime") return row.status === "failed" ? "" : h("span", null, h("i", { className: "mark", style: { background: known?.colour }, "aria-hidden": true }), regimeName(row.regime ?? -1, scene.regimes));
    if (name === "p") return number(row.p, 2);
    if (name === "novel") return row.novel ? h("strong", null, "novel") : "";
    if (name === "status") return h("span", { title: row.reason ?? undefined }, [row.status, row.reason, row.note && `note: ${row.note}`].filter(Boolean).join(": "));
    if (name in row && typeof row[name] !== "object") return typeof row[name] === "number" ? number(row[name]) : String(row[name] ?? "");
    const value = row.of?.[name];
    return typeof value === "number" ? number(value) : String(value ?? "");
  };
  const numeric = (name) => typeof (row[name] ?? row.of?.[name]) === "number" && !["t", "regime"].includes(name);
  return h(
    "tr",
    { className: isSelected ? "picked" : undefined, "aria-selected": isSelected, "data-key": row.key },
    h("td", { className: "picture" }, picture && row.status !== "failed" && row.status !== "computing" ? h("img", { src: picture, alt: "", width: 28, height: 28, loading: "lazy" }) : null),
    columns.map(([name]) => (name === "scan" ? h("th", { key: name, scope: "row" }, h("button", { type: "button", className: "text", onClick: () => onPick?.(row.key), "aria-pressed": isSelected }, row.scan)) : h("td", { key: name, className: numeric(name) ? "number" : name === "status" ? "wide" : undefined }, cell(name)))),
    h("td", null, h("a", { href: page(`${root}/results/${row.key}`), "aria-label": `page of scan ${row.scan}` }, "open")),
  );
}
