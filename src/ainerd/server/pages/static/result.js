// One result: the verdict and its reasons, the technique's pictures, and the numbers.

/** The view of a result; `root` is the path of `ainerd`. */
function Result({ root, segments }) {
  const path = segments.join("/");
  const [fresh, setFresh] = useState(0);
  const again = () => setFresh((n) => n + 1);
  const { value: result, error } = useAsync(() => ask("result", path), [path, fresh]);
  useEffect(() => {
    if (!["computing", "growing"].includes(result?.metadata.status)) return;
    const timer = setTimeout(again, 2000);
    return () => clearTimeout(timer);
  }, [result, error]); // again after an error too
  if (result) return h(ResultPage, { root, path, result, again });
  const text = error ? `The result cannot be read: ${error.message}` : "reading the result…";
  return h(Frame, { label: "result", head: null }, nothing(text, error ? "alert" : "status"));
}

function ResultPage({ root, path, result, again }) {
  const { metadata, superseded_by, nearest = [] } = result;
  const { units = {}, positions = [], sample, status } = metadata;
  const where = place(Object.fromEntries(positions.map((name) => [name, metadata[name]])), units);
  const facts = [
    where && `at ${where}`,
    clock(metadata.event_time ?? metadata.run_time, true),
    typeof sample === "string" && sample,
  ];
  const event = metadata.event > 1 ? `.${metadata.event}` : "";
  const scan = runName(metadata.scan_id === undefined ? (metadata.file ?? "?") : `${metadata.scan_id}${event}`);
  const head = [
    h("strong", { key: "scan" }, scan),
    h("span", { key: "where", className: "soft" }, facts.filter(Boolean).join(", ")),
    h("span", { key: "status", className: status === "failed" ? "bad" : "soft" }, String(status)),
    metadata.novel && h("strong", { key: "novel", className: "novel" }, "NOVEL"),
    link(root, "the campaign"),
  ];
  const other = (key, text) => link(`${root}/results/${key}`, text);
  const similar = nearest
    .slice(0, 6)
    .map(({ key, scan, distance }) => other(key, `${runName(scan)} (${number(distance, 2)} away)`));
  const newer = () => ["There is a newer result of the same run: ", other(superseded_by, "open it")];
  return h(
    Frame,
    { label: `result of ${scan}`, head },
    h("p", { className: "explained", "data-ainerd": "explain" }, result.explain),
    superseded_by && h("p", { className: "warn" }, newer()),
    similar.length > 0 && h("p", { className: "row" }, h("span", { className: "soft" }, "most similar:"), similar),
    h(Note, { root, result, again }),
    h(Pictures, { path, result }),
    h(Facts, { path, result }),
  );
}

function Pictures({ path, result }) {
  const view = useTechnique(result.metadata.technique, result.views);
  const { value: lib } = useAsync(plotly, []);
  if (!Object.keys(result.arrays ?? {}).length) return nothing("no arrays: there is nothing to draw");
  if (view === undefined || !lib) return nothing("drawing…");
  if (!view) return nothing("its technique has no view of its own; the arrays are below");
  return h(Safe, { what: "the technique's view" }, h(view, { key: JSON.stringify(result.metadata), React, Plotly: lib, path, result, get }));
}

function Facts({ path, result: { metadata, arrays } }) {
  const { units = {}, positions = [], summary = [] } = metadata;
  const names = [...positions, ...summary].filter((name) => metadata[name] !== undefined && !name.endsWith("_err"));
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
  const numbers = names.map((name) => [name.replaceAll("_", " "), text(name)]);
  return h("div", { className: "page" }, list("Numbers", numbers), list("Arrays", shapes));
}

function Note({ root, result, again }) {
  const session = useSession(root);
  const [text, setText] = useState(null); // null: no note is being written
  const [outcome, setOutcome] = useState("");
  const [busy, setBusy] = useState(false);
  const send = async (event) => {
    event.preventDefault();
    if (busy) return;
    setBusy(true);
    const who = session.who ? {} : { who: readStored("ainerd-who") || "somebody" };
    try {
      await tell("note", root, { key: result.key, text: text.trim(), ...who });
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
    result.note && h("em", null, `note: ${result.note}`),
    session?.may_write && (text === null ? start : form()),
    h("span", { role: "status", className: "soft" }, outcome),
  );
}
