// The results as a table, sorted and filtered: it has all that the pictures show, by keyboard.
const ROWS = 20;
const PICTURES_MS = 1500; // small pictures wait until the large ones are drawn
const MOST_COLUMNS = 40; // numbers of a technique
const MOST_SIMILAR = 50;
const WANTED = { sort: "t", down: true, offset: 0, filter: "", novel: false, regime: "", status: "" };
const STATUSES = ["complete", "partial", "growing", "failed", "computing"];

/** `keys` are those in a lasso, or those similar to them in order (`ordered`); `chosen` describes them. */
function Results({ scene, root, keys, ordered, selected, only, more, onRows, onPick, marked, onMark, ...lasso }) {
  const [withPictures, showPictures] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => showPictures(true), PICTURES_MS);
    return () => clearTimeout(timer);
  }, []);
  const [wanted, want] = useState(WANTED);
  const change = (changes) => want((old) => ({ ...old, offset: 0, ...changes }));
  useEffect(() => change({ regime: only ?? "" }), [only]);
  useEffect(() => change({}), [keys && [...keys].join()]);
  useEffect(() => void onRows?.(), []);
  const found = useMemo(() => tableRows(scene, wanted, keys, ordered), [scene, wanted, keys, ordered]);
  const shown = { found, wanted, change, scene, root, selected, onPick, marked, onMark, ordered, withPictures, more };
  return h(
    "section",
    { className: "panel results", "aria-label": "results", "data-ainerd": "table" },
    h(Filters, { wanted, change, scene, marked, onMark, ...lasso }),
    h(ResultTable, shown),
  );
}

/** The rows that a person asks for, in order. */
function tableRows(scene, wanted, keys, ordered) {
  const some = keys && new Set(ordered ? keys.slice(0, MOST_SIMILAR) : keys);
  const words = wanted.filter.toLowerCase().split(/\s+/).filter(Boolean);
  const texts = (row) => [row.sample, row.status, row.reason, leftOutText(row), row.note, row.scan, row.key].join(" ").toLowerCase();
  const isWanted = (row) =>
    (!some || some.has(row.key)) &&
    (!wanted.novel || row.novel) &&
    (wanted.regime === "" || row.regime === Number(wanted.regime)) &&
    (!wanted.status || row.status === wanted.status) &&
    words.every((word) => texts(row).includes(word));
  const rows = scene.rows.filter(isWanted);
  if (ordered) return rows.sort((a, b) => keys.indexOf(a.key) - keys.indexOf(b.key));
  const value = (row) => (wanted.sort === "scan" ? (row.scan_id ?? null) : (valueOf(row, wanted.sort) ?? null));
  const [empty, full] = [rows.filter((row) => value(row) === null), rows.filter((row) => value(row) !== null)];
  const order = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
  full.sort((a, b) => order(value(a), value(b)));
  return [...(wanted.down ? full.reverse() : full), ...empty];
}

function Filters({ wanted, change, scene, marked, onMark, chosen, onClear, onAlike, onNameOf }) {
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
    marked.size > 0 && h(Marked, { n: marked.size, onMark }),
  );
}

/** How many rows are ticked, and the way to their comparison, which the page draws above the table. */
function Marked({ n, onMark }) {
  const show = () => document.querySelector(".looked").scrollIntoView({ block: "nearest" });
  const what = n === 1 ? "1 row ticked: tick another one to compare them" : `${n} rows ticked`;
  return h(
    "span",
    { className: "chosen", role: "status", "data-ainerd": "marked" },
    n > MOST_COMPARED ? `${what}: at most ${MOST_COMPARED} are compared` : what,
    n > 1 && n <= MOST_COMPARED && button("show the comparison", show),
    button("untick all", () => onMark(null), { className: "quiet" }),
  );
}

const valueOf = (row, name) => (name in row.place ? row.place[name] : name in row.of ? row.of[name] : row[name]);

function ResultTable({ found, wanted, change, scene, root, selected, onPick, marked, onMark, ordered, withPictures, more }) {
  const { offset } = wanted;
  const rows = ordered ? found : found.slice(offset, offset + ROWS);
  // The status has reason and note, which must be in view. A column without a value in any row is left out.
  const always = ["scan", "t", "status", "regime", "p"];
  const names = ["scan", "t", "status", "sample", ...scene.motors, "regime", "p", ...scene.quantities.slice(0, MOST_COLUMNS)];
  const isEmpty = (row, name) => (name in row.of ? !quantityText(row, name) : [null, undefined, ""].includes(valueOf(row, name)));
  const isShown = (name) => always.includes(name) || rows.some((row) => !isEmpty(row, name));
  const isNumeric = (name) => !["t", "regime"].includes(name) && rows.some((row) => name in row.of || typeof valueOf(row, name) === "number");
  const columns = names.filter(isShown).map((name) => ({ name, className: isNumeric(name) ? "number" : undefined }));
  const last = Math.min(offset + rows.length, found.length);
  const cell = ({ name, className }) => {
    const isSorted = !ordered && wanted.sort === name;
    const words = name === "t" ? "time" : scene.quantities.includes(name) ? short(name) : name;
    const arrow = isSorted ? (wanted.down ? " ↓" : " ↑") : "";
    const text = [labelled(words, scene.units[name]), h("span", { key: "arrow", "aria-hidden": true }, arrow)];
    const sort = () => change({ sort: name, down: wanted.sort === name ? !wanted.down : name !== "scan" });
    const direction = isSorted ? (wanted.down ? "descending" : "ascending") : undefined;
    return { name, text: button(text, sort, { className: "text" }), "aria-sort": direction, className };
  };
  const cells = [{ name: "compare", unseen: true }, { name: "picture", unseen: true }, { name: "page", unseen: true }, ...columns.map(cell)];
  const row = (row) => {
    const array = withPictures && row.done ? TECHNIQUES[row.technique]?.thumbnail : undefined;
    const picture = thumbnail(root, row.key, array);
    const about = { isSelected: row.key === selected, isMarked: marked.has(row.key), onPick, onMark };
    return h(Row, { key: row.key, row, columns, scene, root, picture, ...about });
  };
  const turn = (text, offset, disabled) =>
    button(text, () => change({ offset: Math.max(0, offset) }), { key: text, disabled });
  const n = scene.rows.length;
  const range = found.length ? `${offset + 1} to ${last} of ${found.length}${found.length < n ? ` (of ${n})` : ""}` : "none";
  const scroll = { className: "scroll", tabIndex: 0, role: "region", "aria-label": "table of results" };
  return h(
    "div",
    null,
    h("div", scroll, h(Table, { cells }, rows.map(row))),
    h(
      "p",
      { className: "row pager" },
      h("span", { role: "status" }, range),
      !ordered &&
        found.length > ROWS && [
          turn("the rows before", offset - ROWS, offset === 0),
          turn("the next rows", offset + ROWS, last >= found.length),
        ],
      more && button(`read older results: ${scene.count - scene.read} more are in Tiled`, more),
    ),
  );
}

function Row({ row, columns, scene, root, picture, isSelected, isMarked, onPick, onMark }) {
  const name = () => regimeName(row.regime, scene.regimes);
  const known = scene.regimes.find((each) => each.id === row.regime);
  const content = {
    t: () => clock(row.t),
    regime: () => row.done && !row.left_out && h("span", null, dot(known?.color), name()),
    p: () => (row.novel ? h("strong", null, `${number(row.p, 2)} novel`) : number(row.p, 2)),
    status: () => [row.status, row.reason, leftOutText(row), row.note && `note: ${row.note}`].filter(Boolean).join(": "),
  };
  const text = (name) => {
    const value = valueOf(row, name);
    if (scene.motors.includes(name)) return Number.isFinite(value) ? coordinate(value) : "";
    if (name in row.of) return quantityText(row, name);
    return typeof value === "number" ? number(value) : String(value ?? "");
  };
  const wide = row.reason || row.note || row.left_out ? "wide" : undefined;
  const cell = ({ name, className = name === "status" ? wide : undefined }) => {
    if (name === "status") return h("td", { key: name, className }, h("div", { title: content.status() }, content.status()));
    if (name !== "scan") return h("td", { key: name, className }, content[name]?.() ?? text(name));
    const attributes = { className: "text", "aria-pressed": isSelected };
    return h("th", { key: name, scope: "row" }, button(row.scan, () => onPick(row.key), attributes));
  };
  const compare = { type: "checkbox", checked: isMarked, onChange: () => onMark(row.key), "aria-label": `compare ${runName(row.scan)}` };
  const whole = { className: isSelected ? "picked" : undefined, "data-key": row.key };
  const shift = {
    onMouseDown: (event) => event.shiftKey && event.preventDefault(), // it would select text
    onClick: (event) => event.shiftKey && event.target.localName !== "input" && onMark(row.key),
  };
  return h(
    "tr",
    { ...whole, ...shift },
    h("td", null, row.done ? h("input", { ...compare, title: "compare with other rows" }) : null),
    h("td", { className: "picture" }, picture ? h(Picture, { address: picture, alt: "", width: 28, height: 28 }) : null),
    h("td", null, link(`${root}/results/${row.key}`, "open", { "aria-label": `page of ${runName(row.scan)}` })),
    columns.map(cell),
  );
}
