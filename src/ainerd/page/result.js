// One result: the verdict and its reasons, the technique's pictures, and the numbers.

/** The view of a result; `root` is the path of `ainerd`. */
function Result({ root, segments, item }) {
  const path = segments.join("/");
  const [fresh, setFresh] = useState(0);
  const again = () => setFresh((n) => n + 1);
  const { value = item?.data?.attributes?.metadata, error } = useAsync(async () => (await node(path)).metadata, [path, fresh]);
  const { state, again: look } = useCampaign(root, value?.agent);
  useEffect(() => {
    if (!UNFINISHED.includes(value?.status)) return;
    const timer = setTimeout(again, EVERY_MS);
    return () => clearTimeout(timer);
  }, [value, error]); // again after an error too
  if (value?.status) return h(ResultPage, { root, path, metadata: value, state, again: look });
  const text = error ? `The result cannot be read: ${error.message}` : "reading the result…";
  return h(Frame, { label: "result", head: null }, nothing(text, error ? "alert" : "status"));
}

/** A sentence with a capital letter and an end. */
const ended = (text) => text[0].toUpperCase() + text.slice(1) + (/[.?!]$/.test(text) ? "" : ".");

function ResultPage({ root, path, metadata, state, again }) {
  const { units = {}, positions = [], sentences = ["there is no verdict yet"], sample, status } = metadata;
  const key = path.split("/").at(-1);
  const { scene } = state ?? {};
  const run = scene?.byKey.get(key);
  const ends = (TECHNIQUES[metadata.technique]?.between ?? []).filter((name) => name in metadata);
  const range = `from ${ends.map((name) => number(metadata[name])).join(" to ")} ${isUnit(units[ends[0]]) ? units[ends[0]] : ""}`;
  const where = place(Object.fromEntries(positions.map((name) => [name, metadata[name]])), units);
  const facts = [
    ends.length ? range : where && `at ${where}`,
    clock(metadata.event_time ?? metadata.run_time, true),
    typeof sample === "string" && sample,
  ];
  const scan = runName(scanText(metadata));
  const head = [
    h("h1", { key: "scan" }, scan),
    h("span", { key: "where", className: "soft" }, facts.filter(Boolean).join(", ")),
    run?.done && h("span", { key: "regime" }, dot(run.color), regimeName(run.regime, scene.regimes)),
    h("span", { key: "status", className: status === "failed" ? "bad" : "soft" }, String(status)),
    metadata.novel && h("strong", { key: "novel", className: "novel" }, "NOVEL"),
    link(root, "the campaign"),
  ];
  const other = (key, text) => link(`${root}/results/${key}`, text);
  const nearest = useMemo(() => (run ? similarTo(scene.runs, run).slice(0, 6) : []), [scene, run]);
  const similar = nearest.map(({ key, scan }) => other(key, runName(scan)));
  const newer = scene?.runs.find((each) => each.supersedes === key);
  const arrays = Object.fromEntries(Object.entries(metadata.arrays ?? {}).map(([name, shape]) => [name, { shape }]));
  const { parameters, series, tables } = metadata;
  const result = { key, metadata, parameters, series, tables, arrays, nearest };
  return h(
    Frame,
    { label: `result of ${scan}`, title: [scan, facts[2], "ainerd"].filter(Boolean).join(", "), head, fills: true },
    h("p", { className: "explained", "data-ainerd": "explain" }, sentences.map(ended).join(" ")),
    newer && h("p", { className: "warn" }, "There is a newer result of the same run: ", other(newer.key, "open it")),
    similar.length > 0 && h("p", { className: "row" }, h("span", { className: "soft" }, "most similar:"), similar),
    h(Note, { root, scan: scanText(metadata), result, note: run?.note, state, again }),
    h(Pictures, { path, result }),
    h(Facts, { path, result }),
  );
}

function Pictures({ path, result }) {
  const view = useTechnique(result.metadata.technique);
  const { value: lib } = useAsync(plotly, []);
  if (!Object.keys(result.arrays ?? {}).length) return nothing("no arrays: there is nothing to draw");
  if (view === undefined || !lib) return nothing("drawing…");
  if (!view) return nothing("its technique has no view of its own; the arrays are below");
  return h(Safe, { what: "the technique's view" }, h(view, { key: JSON.stringify(result.metadata), React, Plotly: lib, path, result, get }));
}

function Facts({ path, result: { metadata, arrays } }) {
  const { units = {}, positions = [], summary = [] } = metadata;
  const { quantities = [] } = TECHNIQUES[metadata.technique] ?? {};
  const isRead = (name) => isUnit(units[name]) || quantities.includes(name); // others are numbers of fits and tests
  const names = [...positions, ...summary.filter((name) => isRead(name) && !/_(err|or)$/.test(name))].filter((name) => name in metadata);
  const text = (name) => {
    const [value, error] = [metadata[name], metadata[`${name}_err`]];
    if (typeof value !== "number") return String(value);
    return error === undefined ? withUnit(value, units[name], 4) : withError(value, error, units[name]);
  };
  const item = ([name, value]) => h("div", { key: name }, h("dt", null, name), h("dd", null, value));
  const list = (title, items) => {
    const section = { className: "panel wide", "aria-label": title.toLowerCase() };
    return h("section", section, h("h2", null, title), h("dl", { className: "facts" }, items.map(item)));
  };
  const shapes = Object.entries(arrays ?? {}).map(([name, array]) => [
    name,
    link(`${path}/${name}`, (array.shape ?? array).join(" × "), { title: "open the array in Tiled" }),
  ]);
  const numbers = names.map((name) => [plain(name), text(name)]);
  return h("div", { className: "page" }, list("Numbers", numbers), list("Arrays", shapes));
}

function Note({ root, scan, result, note, state, again }) {
  const session = useSession(root, state?.agent_key);
  const [text, setText] = useState(null); // null: no note is being written
  const [outcome, setOutcome] = useState("");
  const [busy, setBusy] = useState(false);
  const send = async (event) => {
    event.preventDefault();
    if (busy) return;
    setBusy(true);
    const by = session.who ?? readStored("ainerd-who") ?? "person";
    const noted = { kind: "note", note: oneLine(text), raw_uid: result.metadata.raw_uid, result: result.key };
    const line = `${by === "person" ? "a person" : by} noted on scan ${scan}: ${noted.note}`;
    const metadata = { created: new Date().toISOString(), text: line, by, ...noted, ids: Object.keys(noted) };
    try {
      await create(`${root}/log`, newId(), metadata, "AinerdLog");
      setText(null);
      setOutcome("noted");
      again();
    } catch (error) {
      setOutcome(error.message);
    } finally {
      setBusy(false);
    }
  };
  const form = () => {
    const field = { label: "note", value: text, onText: setText, maxLength: 500, autoFocus: true };
    return h(Field, field, button("note it", undefined, { type: "submit", className: "main", disabled: busy || !text.trim() }));
  };
  const start = button("add a note", () => setText(""), { className: "quiet" });
  return h(
    "form",
    { className: "row", onSubmit: send },
    note && h("em", null, `note: ${note}`),
    session?.may_write && (text === null ? start : form()),
    h("span", { role: "status", className: "soft" }, outcome),
  );
}
