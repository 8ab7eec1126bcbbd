// The results as a table, sorted and filtered by the server: it has all that the pictures show, by keyboard.
const ROWS = 20;
const PICTURES_MS = 1500; // small pictures wait until the large ones are drawn
const MOST_KEYS = 2000;
const FIRST = { sort: "t", down: true, offset: 0, limit: ROWS, filter: "", novel: false, regime: "", status: "" };
const STATUSES = ["complete", "partial", "growing", "failed", "computing"];

/** `keys` are those in a lasso, or those similar to them in order (`ordered`); `chosen` describes them. */
function Results({ scene, root, pictures, agent, fresh, changed, keys, ordered, selected, only, until, onRows, onPick, ...lasso }) {
  const [withPictures, showPictures] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => showPictures(true), PICTURES_MS);
    return () => clearTimeout(timer);
  }, []);
  const [wanted, want] = useState(FIRST);
  const change = (more) => want((old) => ({ ...old, offset: 0, ...more }));
  useEffect(() => change({ regime: only ?? "" }), [only]);
  useEffect(() => change({}), [keys]);
  const some = ordered ? keys.slice(0, 50) : keys;
  const limits = ordered ? { offset: 0, limit: 50 } : {};
  const query = { ...wanted, ...limits, agent, until, down: wanted.down ? 1 : 0, novel: wanted.novel ? 1 : undefined };
  const read = () => {
    if (!some) return ask("table", root, query);
    return tell("table", root, { ...Object.fromEntries(given(query)), keys: some.slice(0, MOST_KEYS) });
  };
  const { value: answer, error } = useAsync(read, [root, JSON.stringify([query, some]), fresh, changed]);
  useEffect(() => void ((answer || error) && onRows?.()), [answer, error]);
  const order = ordered ? keys : null;
  const rows = { answer, wanted, change, scene, root, selected, onPick, order, pictures: withPictures ? pictures : {} };
  return h(
    "section",
    { className: "panel results", "aria-label": "results", "data-ainerd": "table" },
    h(Filters, { wanted, change, scene, ...lasso }),
    error && h("p", { className: "bad", role: "alert" }, `The table cannot be read: ${error.message}`),
    answer ? h(ResultTable, rows) : !error && nothing("reading the table…"),
  );
}

function Filters({ wanted, change, scene, chosen, onClear, onAlike, onNameOf }) {
  const id = useId();
  const words = { type: "search", placeholder: "filter: sample, note, reason…", value: wanted.filter };
  const select = (name, all, some) => {
    const options = [["", all], ...some];
    return h(Select, { label: name, value: wanted[name], options, onValue: (value) => change({ [name]: value }) });
  };
  const regimes = scene.regimes.map(({ id }) => [id, regimeName(id, scene.regimes)]);
  const novel = { type: "checkbox", checked: wanted.novel, onChange: (e) => change({ novel: e.target.checked }) };
  return h(
    "form",
    { className: "filters", onSubmit: (event) => event.preventDefault(), role: "search" },
    h("h2", null, "Results"),
    h("label", { htmlFor: id, className: "unseen" }, "words in sample, note, reason, status"),
    h("input", { id, ...words, onChange: (e) => change({ filter: e.target.value }) }),
    select("regime", "all regimes", regimes),
    select("status", "any status", STATUSES.map((name) => [name, name])),
    h("label", { className: "row" }, h("input", novel), "novel only"),
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

function ResultTable({ answer, wanted, change, scene, root, pictures, selected, onPick, order }) {
  const { found, offset } = answer;
  // A column without a value in any row is left out.
  const isShown = ({ name }) =>
    ["scan", "t", "regime", "p", "own p", "status"].includes(name) ||
    (!["novel", "note"].includes(name) &&
      answer.rows.some((row) => ![null, undefined, "", false].includes(valueOf(row, name))));
  const isNumeric = ({ name }) =>
    !["t", "regime"].includes(name) && answer.rows.some((row) => typeof valueOf(row, name) === "number");
  const styled = (each) => ({ ...each, className: isNumeric(each) ? "number" : undefined });
  const FRONT = ["scan", "t", "status"]; // the status has reason and note, which must be in view
  const rank = ({ name }) => (FRONT.indexOf(name) + FRONT.length + 1) % (FRONT.length + 1);
  const columns = answer.columns.filter(isShown).map(styled).toSorted((a, b) => rank(a) - rank(b));
  const rows = order ? answer.rows.toSorted((a, b) => order.indexOf(a.key) - order.indexOf(b.key)) : answer.rows;
  const last = Math.min(offset + rows.length, found);
  const cell = ({ name, title, unit, about, className }) => {
    const isSorted = !order && wanted.sort === name;
    const words = name === "t" ? "time" : name in (rows[0]?.of ?? {}) ? short(name) : (title ?? name);
    const arrow = isSorted ? (wanted.down ? " ↓" : " ↑") : "";
    const text = [labelled(words, unit), h("span", { key: "arrow", "aria-hidden": true }, arrow)];
    const sort = () => change({ sort: name, down: wanted.sort === name ? !wanted.down : name !== "scan" });
    const direction = isSorted ? (wanted.down ? "descending" : "ascending") : undefined;
    return { name, text: button(text, sort, { className: "text", title: about || undefined }), "aria-sort": direction, className };
  };
  const cells = [{ name: "picture", unseen: true }, { name: "page", unseen: true }, ...columns.map(cell)];
  const row = (row) => {
    const array = ["failed", "computing"].includes(row.status) ? undefined : pictures?.[row.technique];
    const picture = thumbnail(root, row.key, array);
    return h(Row, { key: row.key, row, columns, scene, root, picture, isSelected: row.key === selected, onPick });
  };
  const turn = (text, offset, disabled) =>
    button(text, () => change({ offset: Math.max(0, offset) }), { key: text, disabled });
  const range = found ? `${offset + 1} to ${last} of ${found}${found < answer.n ? ` (of ${answer.n})` : ""}` : "none";
  const scroll = { className: "scroll", tabIndex: 0, role: "region", "aria-label": "table of results" };
  return h(
    "div",
    null,
    h("div", scroll, h(Table, { cells }, rows.map(row))),
    h(
      "p",
      { className: "row pager" },
      h("span", { role: "status" }, range),
      !order &&
        found > ROWS && [
          turn("the rows before", offset - ROWS, offset === 0),
          turn("the next rows", offset + ROWS, last >= found),
        ],
    ),
  );
}

function Row({ row, columns, scene, root, picture, isSelected, onPick }) {
  const name = () => regimeName(row.regime ?? -1, scene.regimes);
  const known = scene.regimes.find((each) => each.id === row.regime);
  const content = {
    t: () => clock(row.t),
    regime: () => row.regime !== null && row.status !== "failed" && h("span", null, dot(known?.color), name()),
    p: () => (row.novel ? h("strong", null, `${number(row.p, 2)} novel`) : number(row.p, 2)),
    status: () => [row.status, row.reason, row.note && `note: ${row.note}`].filter(Boolean).join(": "),
  };
  const text = (name) => {
    const value = valueOf(row, name);
    if (scene.motors.includes(name)) return Number.isFinite(value) ? coordinate(value) : "";
    return typeof value === "number" ? number(value) : String(value ?? "");
  };
  const wide = row.reason || row.note ? "wide" : undefined;
  const cell = ({ name, className = name === "status" ? wide : undefined }) => {
    if (name === "status") return h("td", { key: name, className }, h("div", { title: content.status() }, content.status()));
    if (name !== "scan") return h("td", { key: name, className }, content[name]?.() ?? text(name));
    const attributes = { className: "text", "aria-pressed": isSelected };
    return h("th", { key: name, scope: "row" }, button(row.scan, () => onPick(row.key), attributes));
  };
  const image = { src: picture, alt: "", width: 28, height: 28, loading: "lazy" };
  return h(
    "tr",
    { className: isSelected ? "picked" : undefined, "data-key": row.key },
    h("td", { className: "picture" }, picture ? h("img", image) : null),
    h("td", null, link(`${root}/results/${row.key}`, "open", { "aria-label": `page of ${runName(row.scan)}` })),
    columns.map(cell),
  );
}
