// One result: the verdict and what it rests on, the technique's pictures, and the numbers.

/** The view of a result; `root` is the path of `ainerd`. */
function Result({ root, segments }) {
  const path = segments.join("/");
  const [{ result, error }, setTold] = useState({});
  const [fresh, again] = useState(0);
  useEffect(() => {
    let current = true,
      timer;
    const read = () =>
      ask("result", path).then(
        (result) => {
          if (!current) return;
          setTold({ result });
          if (["computing", "growing"].includes(result.metadata.status)) timer = setTimeout(read, 2000);
        },
        (error) => current && setTold((old) => ({ ...old, error })),
      );
    read();
    return () => {
      current = false;
      clearTimeout(timer);
    };
  }, [path, fresh]);
  if (!result)
    return h(
      Frame,
      { label: "result", head: null },
      h(
        "p",
        { className: "nothing", role: error ? "alert" : "status" },
        error ? `The result cannot be read: ${error.message}` : "reading the result…",
      ),
    );
  return h(ResultPage, { root, path, result, again: () => again(fresh + 1) });
}

/** A function of the server's answer `result`. */
function ResultPage({ root, path, result, again }) {
  const said = result.metadata;
  const units = said.units ?? {};
  const where = place(Object.fromEntries((said.positions ?? []).map((name) => [name, said[name]])), units);
  const head = [
    h("strong", { key: "scan" }, `scan ${said.scan_id ?? "?"}${said.event > 1 ? `.${said.event}` : ""}`),
    h(
      "span",
      { key: "where", className: "soft" },
      [
        where && `at ${where}`,
        clock(said.event_time ?? said.run_time, true),
        typeof said.sample === "string" ? said.sample : null,
      ]
        .filter(Boolean)
        .join(", "),
    ),
    h("span", { key: "status", className: said.status === "failed" ? "bad" : "soft" }, String(said.status)),
    said.novel && h("strong", { key: "novel", className: "novel" }, "NOVEL"),
    h("a", { key: "all", href: page(root) }, "the campaign"),
  ];
  return h(
    Frame,
    { label: `result of scan ${said.scan_id}`, head },
    h("p", { className: "said-of", "data-ainerd": "explain" }, result.explain),
    result.superseded_by &&
      h(
        "p",
        { className: "warn" },
        "A newer result of the same run: ",
        h("a", { href: page(`${root}/results/${result.superseded_by}`) }, "open it"),
      ),
    result.nearest?.length > 0 &&
      h(
        "p",
        { className: "row" },
        h("span", { className: "soft" }, "most like it:"),
        result.nearest
          .slice(0, 6)
          .map((each) =>
            h(
              "a",
              { key: each.key, href: page(`${root}/results/${each.key}`) },
              `scan ${each.scan} (${number(each.distance, 2)} away)`,
            ),
          ),
      ),
    h(Note, { root, result, again }),
    h(Pictures, { path, result }),
    h(Facts, { said, units, arrays: result.arrays }),
  );
}

function Pictures({ path, result }) {
  const view = useTechnique(result.metadata.technique, result.views);
  const [lib, setLib] = useState(null);
  useEffect(() => {
    let wanted = true;
    plotly().then(
      (loaded) => wanted && setLib(() => loaded),
      () => {},
    );
    return () => void (wanted = false);
  }, []);
  if (!Object.keys(result.arrays ?? {}).length)
    return h("p", { className: "nothing" }, "no arrays: there is nothing to draw");
  if (view === undefined || !lib) return h("p", { className: "nothing" }, "drawing…");
  if (!view) return h("p", { className: "nothing" }, "its technique has no view of its own; the arrays are below");
  return h(Safe, { what: "the technique's view" }, h(view, { React, Plotly: lib, path, result, get }));
}

function Facts({ said, units, arrays }) {
  const names = [...(said.positions ?? []), ...(said.summary ?? [])].filter(
    (name) => said[name] !== undefined && !name.endsWith("_err"),
  );
  const text = (name) => {
    const value = said[name];
    if (typeof value !== "number") return String(value);
    return `${name}_err` in said ? withError(value, said[`${name}_err`], units[name]) : withUnit(value, units[name], 4);
  };
  const shape = (array) => (array.shape ?? array).join(" × ");
  return h(
    "div",
    { className: "page" },
    h(
      "section",
      { className: "panel wide", "aria-label": "numbers" },
      h("h2", null, "Numbers"),
      h(
        "dl",
        { className: "facts" },
        names.map((name) =>
          h("div", { key: name }, h("dt", null, name.replaceAll("_", " ")), h("dd", null, text(name))),
        ),
      ),
    ),
    h(
      "section",
      { className: "panel wide", "aria-label": "arrays" },
      h("h2", null, "Arrays"),
      h(
        "dl",
        { className: "facts" },
        Object.entries(arrays ?? {}).map(([name, array]) =>
          h("div", { key: name }, h("dt", null, name), h("dd", null, shape(array))),
        ),
      ),
    ),
  );
}

function Note({ root, result, again }) {
  const session = useSession(root);
  const [open, setOpen] = useState(false);
  const [text, setText] = useState("");
  const [said, say] = useState("");
  const send = async (event) => {
    event.preventDefault();
    let who;
    try {
      who = localStorage.getItem("ainerd-who") || undefined;
    } catch {} // a browser that keeps nothing
    try {
      await tell("note", root, {
        key: result.key,
        text: text.trim(),
        ...(session.verified ? {} : { who: who ?? "somebody" }),
      });
      setOpen(false);
      say("noted");
      again();
    } catch (error) {
      say(error.message);
    }
  };
  return h(
    "form",
    { className: "row", onSubmit: send },
    result.note && h("em", null, `note: ${result.note}`),
    session?.may_write &&
      (open
        ? [
            h("input", {
              key: "text",
              value: text,
              maxLength: 500,
              "aria-label": "note",
              autoFocus: true,
              onChange: (e) => setText(e.target.value),
            }),
            h("button", { key: "send", type: "submit", className: "main", disabled: !text.trim() }, "note it"),
          ]
        : h("button", { type: "button", className: "quiet", onClick: () => setOpen(true) }, "add a note")),
    h("span", { role: "status", className: "soft" }, said),
  );
}
