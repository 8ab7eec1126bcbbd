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
  }, [result]);
  if (result) return h(ResultPage, { root, path, result, again });
  const message = error
    ? nothing(`The result cannot be read: ${error.message}`, "alert")
    : nothing("reading the result…", "status");
  return h(Frame, { label: "result", head: null }, message);
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
  const scan = `scan ${metadata.scan_id ?? "?"}${metadata.event > 1 ? `.${metadata.event}` : ""}`;
  const head = [
    h("strong", { key: "scan" }, scan),
    h("span", { key: "where", className: "soft" }, facts.filter(Boolean).join(", ")),
    h("span", { key: "status", className: status === "failed" ? "bad" : "soft" }, String(status)),
    metadata.novel && h("strong", { key: "novel", className: "novel" }, "NOVEL"),
    h("a", { key: "all", href: page(root) }, "the campaign"),
  ];
  const link = (key, text) => h("a", { key, href: page(`${root}/results/${key}`) }, text);
  return h(
    Frame,
    { label: `result of scan ${metadata.scan_id}`, head },
    h("p", { className: "said-of", "data-ainerd": "explain" }, result.explain),
    superseded_by &&
      h("p", { className: "warn" }, "There is a newer result of the same run: ", link(superseded_by, "open it")),
    nearest.length > 0 &&
      h(
        "p",
        { className: "row" },
        h("span", { className: "soft" }, "most similar:"),
        nearest.slice(0, 6).map(({ key, scan, distance }) => link(key, `scan ${scan} (${number(distance, 2)} away)`)),
      ),
    h(Note, { root, result, again }),
    h(Pictures, { path, result }),
    h(Facts, { result }),
  );
}

function Pictures({ path, result }) {
  const view = useTechnique(result.metadata.technique, result.views);
  const { value: lib } = useAsync(plotly, []);
  if (!Object.keys(result.arrays ?? {}).length) return nothing("no arrays: there is nothing to draw");
  if (view === undefined || !lib) return nothing("drawing…");
  if (!view) return nothing("its technique has no view of its own; the arrays are below");
  return h(Safe, { what: "the technique's view" }, h(view, { React, Plotly: lib, path, result, get }));
}

function Facts({ result: { metadata, arrays } }) {
  const { units = {}, positions = [], summary = [] } = metadata;
  const names = [...positions, ...summary].filter((name) => metadata[name] !== undefined && !name.endsWith("_err"));
  const text = (name) => {
    const [value, error] = [metadata[name], metadata[`${name}_err`]];
    if (typeof value !== "number") return String(value);
    return error === undefined ? withUnit(value, units[name], 4) : withError(value, error, units[name]);
  };
  const list = (title, items) =>
    h(
      "section",
      { className: "panel wide", "aria-label": title.toLowerCase() },
      h("h2", null, title),
      h(
        "dl",
        { className: "facts" },
        items.map(([name, value]) => h("div", { key: name }, h("dt", null, name), h("dd", null, value))),
      ),
    );
  const shapes = Object.entries(arrays ?? {}).map(([name, array]) => [name, (array.shape ?? array).join(" × ")]);
  const numbers = names.map((name) => [name.replaceAll("_", " "), text(name)]);
  return h("div", { className: "page" }, list("Numbers", numbers), list("Arrays", shapes));
}

function Note({ root, result, again }) {
  const session = useSession(root);
  const [open, setOpen] = useState(false);
  const [text, setText] = useState("");
  const [outcome, setOutcome] = useState("");
  const send = async (event) => {
    event.preventDefault();
    const who = session.verified ? {} : { who: readStored("ainerd-who") || "somebody" };
    try {
      await tell("note", root, { key: result.key, text: text.trim(), ...who });
      setOpen(false);
      setOutcome("noted");
      again();
    } catch (error) {
      setOutcome(error.message);
    }
  };
  const onChange = (e) => setText(e.target.value);
  const field = { key: "text", value: text, maxLength: 500, "aria-label": "note", autoFocus: true, onChange };
  const submit = { key: "send", type: "submit", className: "main", disabled: !text.trim() };
  return h(
    "form",
    { className: "row", onSubmit: send },
    result.note && h("em", null, `note: ${result.note}`),
    session?.may_write &&
      (open
        ? [h("input", field), h("button", submit, "note it")]
        : button("add a note", () => setOpen(true), { className: "quiet" })),
    h("span", { role: "status", className: "soft" }, outcome),
  );
}
