// The results as a table, sorted and filtered by the server: it has all that the pictures show, by keyboard.
const ROWS = 20;
const PICTURES_MS = 1500; // small pictures wait until the large ones are drawn
const MOST_IN_ADDRESS = 50; // keys
const FIRST = { sort: "t", down: true, offset: 0, limit: ROWS, filter: "", novel: false, regime: "", status: "" };
const STATUSES = ["complete", "partial", "growing", "failed", "computing"];

/** The answer to a query of the table, read again when `fresh` changes: `{value, error}`. */
function useTable(root, agent, wanted, fresh) {
  const read = () => {
    const { keys, ...rest } = wanted;
    const query = { ...rest, agent, down: rest.down ? 1 : 0, novel: rest.novel ? 1 : undefined };
    if (keys?.length > MOST_IN_ADDRESS) return tell("table", root, { ...query, keys: keys.slice(0, 2000) });
    return ask("table", root, keys ? { ...query, keys: keys.join(",") } : query);
  };
  return useAsync(read, [root, agent, JSON.stringify(wanted), fresh]);
}

/** `keys` are those in a lasso, or those similar to them in order (`ordered`); `chosen` describes them. */
function Results({ scene, root, pictures, agent, fresh, keys, ordered, chosen, selected, only, onRows, ...handlers }) {
  const [withPictures, showPictures] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => showPictures(true), PICTURES_MS);
    return () => clearTimeout(timer);
  }, []);
  const [wanted, want] = useState(FIRST);
  const change = (more) => want((old) => ({ ...old, offset: 0, ...more }));
  useEffect(() => change({ regime: only ?? "" }), [only]);
  useEffect(() => change({}), [keys]);
  const limits = ordered ? { offset: 0, limit: 50, keys: keys.slice(0, 50) } : keys ? { keys } : {};
  const { value: answer, error } = useTable(root, agent, { ...wanted, ...limits }, fresh);
  useEffect(() => void ((answer || error) && onRows?.()), [answer, error]);
  const sort = (name) => change({ sort: name, down: wanted.sort === name ? !wanted.down : name !== "scan" });
  const table = () =>
    h(Table, {
      answer,
      wanted,
      want,
      scene,
      root,
      selected,
      sort,
      pictures: withPictures ? pictures : undefined,
      onPick: handlers.onPick,
      order: ordered ? keys : null,
    });
  return h(
    "section",
    { className: "panel results", "aria-label": "results", "data-ainerd": "table" },
    h(Filters, { wanted, change, scene, chosen, ...handlers }),
    error && h("p", { className: "bad", role: "alert" }, `The table cannot be read: ${error.message}`),
    answer ? table() : !error && nothing("reading the table…"),
  );
}

function Filters({ wanted, change, scene, chosen, onClear, onAlike, onNameOf }) {
  const id = useId();
  const select = (name, all, options) =>
    h(
      "select",
      { value: wanted[name], onChange: (e) => change({ [name]: e.target.value }), "aria-label": name },
      h("option", { value: "" }, all),
      options.map(([value, text]) => h("option", { key: value, value }, text)),
    );
  const regimes = scene.regimes.map(({ id }) => [id, regimeName(id, scene.regimes)]);
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
    select("regime", "all regimes", regimes),
    select("status", "any status", STATUSES.map((name) => [name, name])),
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
        chosen.alike && button("others like these", onAlike),
        chosen.regime && button(`name regime ${chosen.regime.id}`, () => onNameOf(chosen.regime)),
        button("show all", onClear, { className: "quiet" }),
      ),
  );
}

const valueOf = (row, name) => (name in row && name !== "of" ? row[name] : row.of?.[name]);
const isNumeric = (rows, name) =>
  !["t", "regime"].includes(name) && rows.some((row) => typeof valueOf(row, name) === "number");

function Table({ answer, wanted, want, scene, root, pictures, selected, onPick, order, sort }) {
  // A column without a value in any row is left out.
  const isShown = ({ name }) =>
    ["scan", "t", "regime", "p", "status"].includes(name) ||
    (!["novel", "note"].includes(name) &&
      answer.rows.some((row) => ![null, undefined, "", false].includes(valueOf(row, name))));
  const columns = answer.columns.filter(isShown);
  const rows = order ? answer.rows.toSorted((a, b) => order.indexOf(a.key) - order.indexOf(b.key)) : answer.rows;
  const last = Math.min(answer.offset + rows.length, answer.found);
  const cell = ({ name, title, unit }) => {
    const isSorted = !order && wanted.sort === name;
    const words = name === "t" ? "time" : name in (answer.rows[0]?.of ?? {}) ? short(name) : (title ?? name);
    const arrow = isSorted && h("span", { "aria-hidden": true }, wanted.down ? " ↓" : " ↑");
    const attributes = { type: "button", className: "text", onClick: () => sort(name) };
    return {
      name,
      text: h("button", attributes, labelled(words, unit), arrow),
      "aria-sort": isSorted ? (wanted.down ? "descending" : "ascending") : undefined,
      className: isNumeric(answer.rows, name) ? "number" : undefined,
    };
  };
  const cells = [{ name: "picture", unseen: true }, ...columns.map(cell), { name: "page", unseen: true }];
  const row = (row) => {
    const array = ["failed", "computing"].includes(row.status) ? undefined : pictures?.[row.technique];
    const picture = thumbnail(root, row.key, array);
    const isSelected = row.key === selected;
    return h(Row, { key: row.key, row, columns, all: answer.rows, scene, root, picture, isSelected, onPick });
  };
  const turn = (text, offset, disabled) =>
    button(text, () => want({ ...wanted, offset: Math.max(0, offset) }), { key: text, disabled });
  const of = answer.found < answer.n ? ` (of ${answer.n})` : "";
  const range = answer.found ? `${answer.offset + 1} to ${last} of ${answer.found}${of}` : "none";
  return h(
    "div",
    null,
    h(
      "div",
      { className: "scroll", tabIndex: 0, role: "region", "aria-label": "table of results" },
      h("table", null, h(Head, { cells }), h("tbody", null, rows.map(row))),
    ),
    h(
      "p",
      { className: "row pager" },
      h("span", { role: "status" }, range),
      !order &&
        answer.found > ROWS && [
          turn("the rows before", answer.offset - ROWS, answer.offset === 0),
          turn("the next rows", answer.offset + ROWS, last >= answer.found),
        ],
    ),
  );
}

function Row({ row, columns, all, scene, root, picture, isSelected, onPick }) {
  const known = scene.regimes.find((each) => each.id === row.regime);
  const content = (name) => {
    const value = valueOf(row, name);
    if (name === "t") return clock(value);
    if (name === "regime")
      return value === null || row.status === "failed"
        ? ""
        : h("span", null, dot(known?.color), regimeName(value ?? -1, scene.regimes));
    if (name === "p") return row.novel ? h("strong", null, `${number(value, 2)} novel`) : number(value, 2);
    if (name === "status") return [row.status, row.reason, row.note && `note: ${row.note}`].filter(Boolean).join(": ");
    if (scene.motors.includes(name)) return Number.isFinite(value) ? value.toFixed(2) : "";
    return typeof value === "number" ? number(value) : String(value ?? "");
  };
  const cell = ({ name }) => {
    if (name !== "scan") {
      const className = isNumeric(all, name) ? "number" : name === "status" ? "wide" : undefined;
      return h("td", { key: name, className }, content(name));
    }
    const attributes = { className: "text", "aria-pressed": isSelected };
    return h("th", { key: name, scope: "row" }, button(row.scan, () => onPick(row.key), attributes));
  };
  const image = { src: picture, alt: "", width: 28, height: 28, loading: "lazy" };
  const link = { href: page(`${root}/results/${row.key}`), "aria-label": `page of scan ${row.scan}` };
  return h(
    "tr",
    { className: isSelected ? "picked" : undefined, "data-key": row.key },
    h("td", { className: "picture" }, picture ? h("img", image) : null),
    columns.map(cell),
    h("td", null, h("a", link, "open")),
  );
}
