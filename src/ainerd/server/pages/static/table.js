// The results as a table: sorted, filtered, a page at a time; what the pictures show can be had here by keyboard.

const ROWS = 20;
const CALM_MS = 1500; // small pictures wait until the large ones are drawn
const MOST_BY_ADDRESS = 50; // keys

/** What the server says of the results that are wanted, asked again when `fresh` changes: `{answer, error}`. */
function useTable(root, agent, wanted, fresh) {
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
function Results({
  scene,
  root,
  pictures,
  agent,
  fresh,
  keys,
  ordered,
  chosen,
  selected,
  only,
  onRows,
  onPick,
  onClear,
  onAlike,
  asking,
  onNameOf,
}) {
  const [calm, setCalm] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setCalm(true), CALM_MS);
    return () => clearTimeout(timer);
  }, []);
  const [wanted, want] = useState(FIRST);
  const change = (more) => want((old) => ({ ...old, offset: 0, ...more }));
  useEffect(() => change({ regime: only ?? "" }), [only]);
  useEffect(() => change({}), [keys]);
  const limited = ordered
    ? { ...wanted, offset: 0, limit: 50, keys: keys.slice(0, 50) }
    : keys
      ? { ...wanted, keys }
      : wanted;
  const { answer, error } = useTable(root, agent, limited, fresh);
  useEffect(() => void ((answer || error) && onRows?.()), [answer, error]);
  return h(
    "section",
    { className: "panel results", "aria-label": "results", "data-ainerd": "table" },
    h(Filters, { wanted, change, scene, chosen, onClear, onAlike, asking, onNameOf }),
    error && h("p", { className: "bad", role: "alert" }, `The table cannot be read: ${error.message}`),
    answer
      ? h(Table, {
          answer,
          calm,
          wanted,
          want,
          scene,
          root,
          pictures,
          selected,
          onPick,
          order: ordered ? keys : null,
          sort: (name) => change({ sort: name, down: wanted.sort === name ? !wanted.down : name !== "scan" }),
        })
      : !error && h("p", { className: "nothing" }, "reading the table…"),
  );
}

function Filters({ wanted, change, scene, chosen, onClear, onAlike, onNameOf }) {
  const id = useId();
  return h(
    "form",
    { className: "filters", onSubmit: (event) => event.preventDefault(), role: "search" },
    h("h2", null, "Results"),
    h("label", { htmlFor: id, className: "unseen" }, "words in sample, note, reason, status"),
    h("input", {
      id,
      type: "search",
      placeholder: "filter: sample, note, reason…",
      value: wanted.filter,
      onChange: (e) => change({ filter: e.target.value }),
    }),
    h(
      "label",
      null,
      h("span", { className: "unseen" }, "regime"),
      h(
        "select",
        { value: wanted.regime, onChange: (e) => change({ regime: e.target.value }), "aria-label": "regime" },
        h("option", { value: "" }, "all regimes"),
        scene.regimes.map((each) => h("option", { key: each.id, value: each.id }, regimeName(each.id, scene.regimes))),
      ),
    ),
    h(
      "label",
      null,
      h(
        "select",
        { value: wanted.status, onChange: (e) => change({ status: e.target.value }), "aria-label": "status" },
        h("option", { value: "" }, "any status"),
        ["complete", "partial", "growing", "failed", "computing"].map((name) =>
          h("option", { key: name, value: name }, name),
        ),
      ),
    ),
    h(
      "label",
      { className: "row" },
      h("input", { type: "checkbox", checked: wanted.novel, onChange: (e) => change({ novel: e.target.checked }) }),
      "novel only",
    ),
    chosen &&
      h(
        "span",
        { className: "chosen", role: "status", "data-ainerd": "chosen" },
        chosen.text,
        chosen.alike && h("button", { type: "button", onClick: onAlike }, "others like these"),
        chosen.regime &&
          onNameOf &&
          h("button", { type: "button", onClick: () => onNameOf(chosen.regime) }, `name regime ${chosen.regime.id}`),
        h("button", { type: "button", className: "quiet", onClick: onClear }, "show all"),
      ),
  );
}

function Table({ answer, calm, wanted, want, scene, root, pictures, selected, onPick, order, sort }) {
  // A column that says nothing in any row is left out.
  const says = (name) =>
    ["scan", "t", "regime", "p", "status"].includes(name) ||
    answer.rows.some((row) => ![null, undefined, "", false].includes(valueOf(row, name)));
  const columns = answer.columns.filter(({ name }) => says(name) && name !== "novel" && name !== "note");
  const title = ({ name, title, unit }) =>
    labelled(TITLES[name] ?? (name in (answer.rows[0]?.of ?? {}) ? short(name) : (title ?? name)), unit);
  const rows = order ? answer.rows.toSorted((a, b) => order.indexOf(a.key) - order.indexOf(b.key)) : answer.rows;
  const last = Math.min(answer.offset + rows.length, answer.found);
  const sorted = (name) => (order || wanted.sort !== name ? undefined : wanted.down ? "descending" : "ascending");
  const arrow = (name) => (sorted(name) ? h("span", { "aria-hidden": true }, wanted.down ? " ↓" : " ↑") : null);
  return h(
    "div",
    null,
    h(
      "div",
      { className: "scroll", tabIndex: 0, role: "region", "aria-label": "table of results" },
      h(
        "table",
        null,
        h(Head, {
          cells: [
            { name: "picture", unseen: true },
            ...columns.map((column) => ({
              name: column.name,
              text: h(
                "button",
                { type: "button", className: "text", onClick: () => sort(column.name) },
                title(column),
                arrow(column.name),
              ),
              "aria-sort": sorted(column.name),
              className: numeric(answer.rows, column.name) ? "number" : undefined,
            })),
            { name: "page", unseen: true },
          ],
        }),
        h(
          "tbody",
          null,
          rows.map((row) =>
            h(Row, {
              key: row.key,
              row,
              columns,
              all: answer.rows,
              calm,
              scene,
              root,
              picture: thumbnail(root, row.key, pictures?.[row.technique]),
              isSelected: row.key === selected,
              onPick,
            }),
          ),
        ),
      ),
    ),
    h(
      "p",
      { className: "row pager" },
      h(
        "span",
        { role: "status" },
        answer.found
          ? `${answer.offset + 1} to ${last} of ${answer.found}${answer.found < answer.n ? ` (of ${answer.n})` : ""}`
          : "none",
      ),
      !order &&
        answer.found > ROWS && [
          h(
            "button",
            {
              key: "before",
              type: "button",
              disabled: answer.offset === 0,
              onClick: () => want({ ...wanted, offset: Math.max(0, answer.offset - ROWS) }),
            },
            "the rows before",
          ),
          h(
            "button",
            {
              key: "after",
              type: "button",
              disabled: last >= answer.found,
              onClick: () => want({ ...wanted, offset: answer.offset + ROWS }),
            },
            "the next rows",
          ),
        ],
    ),
  );
}

const TITLES = { t: "time" };
const valueOf = (row, name) => (name in row && name !== "of" ? row[name] : row.of?.[name]);
const numeric = (rows, name) =>
  !["t", "regime"].includes(name) && rows.some((row) => typeof valueOf(row, name) === "number");

function Row({ row, columns, all, calm, scene, root, picture, isSelected, onPick }) {
  const known = scene.regimes.find((each) => each.id === row.regime);
  const cell = (name) => {
    const value = valueOf(row, name);
    if (name === "t") return clock(value);
    if (name === "regime")
      return value === null || row.status === "failed"
        ? ""
        : h(
            "span",
            null,
            h("i", { className: "mark", style: { background: known?.colour }, "aria-hidden": true }),
            regimeName(value ?? -1, scene.regimes),
          );
    if (name === "p") return row.novel ? h("strong", null, `${number(value, 2)} novel`) : number(value, 2);
    if (name === "status") return [row.status, row.reason, row.note && `note: ${row.note}`].filter(Boolean).join(": ");
    if (scene.motors.includes(name)) return Number.isFinite(value) ? value.toFixed(2) : "";
    return typeof value === "number" ? number(value) : String(value ?? "");
  };
  const kind = (name) => (numeric(all, name) ? "number" : name === "status" ? "wide" : undefined);
  return h(
    "tr",
    { className: isSelected ? "picked" : undefined, "data-key": row.key },
    h(
      "td",
      { className: "picture" },
      calm && picture && row.status !== "failed" && row.status !== "computing"
        ? h("img", { src: picture, alt: "", width: 28, height: 28, loading: "lazy" })
        : null,
    ),
    columns.map(({ name }) =>
      name === "scan"
        ? h(
            "th",
            { key: name, scope: "row" },
            h(
              "button",
              { type: "button", className: "text", onClick: () => onPick?.(row.key), "aria-pressed": isSelected },
              row.scan,
            ),
          )
        : h("td", { key: name, className: kind(name) }, cell(name)),
    ),
    h(
      "td",
      null,
      h("a", { href: page(`${root}/results/${row.key}`), "aria-label": `page of scan ${row.scan}` }, "open"),
    ),
  );
}
