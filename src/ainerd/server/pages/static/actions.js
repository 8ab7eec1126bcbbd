// What a person may ask of the agent: take, not this, hold, exclude, add, name. Whoever may only read sees none of it.

const KEPT = "ainerd-who";
const VERBS = { take: "take", reject: "not this", hold: "hold", release: "go on" };

function remembered() {
  try {
    return localStorage.getItem(KEPT) ?? "";
  } catch {
    return "";
  }
}

/**
 * How a person sends commands: `{may, session, who, setWho, ask, busy, said, commands}`; `commands` are the newest.
 *
 * `said` is `{good, text}` of the last thing that was asked; somebody else who was first is told by name.
 */
function useAsking(root, agent, session, again, commands) {
  const [who, setWho] = useState(remembered);
  const [busy, setBusy] = useState(false);
  const [said, say] = useState(null);
  const name = (text) => {
    setWho(text);
    try {
      localStorage.setItem(KEPT, text);
    } catch {} // a browser that keeps nothing
  };
  async function ask(command, done) {
    if (busy) return false;
    if (!session.verified && !who.trim()) {
      say({ good: false, text: "Say who you are first." });
      return false;
    }
    setBusy(true);
    say(null);
    try {
      await tell("command", root, { ...command, agent, ...(session.verified ? {} : { who: who.trim() }) });
      say({ good: true, text: `${done}: the agent does it between two points.` });
      return true;
    } catch (error) {
      say({ good: false, text: error.status === 409 ? `Somebody was first: ${error.message}` : error.message });
      return false;
    } finally {
      setBusy(false);
      again?.();
    }
  }
  return { may: Boolean(session?.may_write && agent), session, who, setWho: name, ask, busy, said, commands };
}

/** Who asks: the account, or what the person types, which nobody has verified. */
function Who({ asking }) {
  const id = useId();
  if (asking.session.verified) return h("p", { className: "soft" }, `You are ${asking.session.who}.`);
  return h(
    "p",
    { className: "row" },
    h("label", { htmlFor: id }, "You are"),
    h("input", {
      id,
      value: asking.who,
      maxLength: 60,
      placeholder: "your name (unverified)",
      autoComplete: "name",
      onChange: (e) => asking.setWho(e.target.value),
      "data-ainerd": "who",
    }),
  );
}

/** What came of the last thing that was asked. */
function Said({ asking }) {
  return h(
    "p",
    {
      className: asking.said ? (asking.said.good ? "good" : "bad") : "empty",
      role: "status",
      "aria-live": "polite",
      "data-ainerd": "said",
    },
    asking.said?.text ?? "",
  );
}

/** The two buttons of a suggestion, and why not. */
function Verdict({ asking, next }) {
  const [why, setWhy] = useState("");
  const [asks, setAsks] = useState(false);
  const field = useRef(null);
  const id = useId();
  useEffect(() => {
    setAsks(false);
    setWhy("");
  }, [next.id]);
  useEffect(() => void (asks && field.current?.focus()), [asks]);
  if (!asking.may) return null;
  if (next.mine)
    return h("p", { className: "soft" }, next.why_not || "You proposed this: somebody else must approve it.");
  if (next.status && next.status !== "proposed") return null;
  const verdict = asking.commands?.find((each) => each.suggestion === next.id && each.status === "asked");
  if (verdict) {
    const { do: verb, by, verified } = verdict;
    const who = `${by || "somebody"}${verified ? "" : " (unverified)"}`;
    return h("p", { className: "soft", "data-ainerd": "pending" }, `${who}: ${VERBS[verb]} (asked, not answered)`);
  }
  const take = () => asking.ask({ do: "take", suggestion: next.id }, "Taken");
  const reject = async (event) => {
    event.preventDefault();
    if (!asks) return setAsks(true);
    if (!why.trim()) return field.current?.focus();
    if (await asking.ask({ do: "reject", suggestion: next.id, why: why.trim() }, "Not this")) setAsks(false);
  };
  return h(
    "form",
    { className: "verdict", onSubmit: reject },
    asks &&
      h(
        "p",
        { className: "row" },
        h("label", { htmlFor: id }, "Why not?"),
        h("input", {
          id,
          ref: field,
          value: why,
          maxLength: 500,
          onChange: (e) => setWhy(e.target.value),
          placeholder: "such as: a bubble there",
          "data-ainerd": "why",
        }),
      ),
    h(
      "p",
      { className: "row" },
      !asks &&
        h(
          "button",
          { type: "button", className: "main", disabled: asking.busy, onClick: take, "data-ainerd": "take" },
          "take",
        ),
      h(
        "button",
        { type: "submit", disabled: asking.busy || (asks && !why.trim()), "data-ainerd": "reject" },
        asks ? "not this, for this reason" : "not this",
      ),
      asks && h("button", { type: "button", className: "quiet", onClick: () => setAsks(false) }, "back"),
    ),
  );
}

/** Hold: no new suggestion is taken until somebody goes on. */
function Hold({ asking, held }) {
  if (!asking.may) return null;
  const isHeld = Boolean(held);
  const press = () => (isHeld ? asking.ask({ do: "release" }, "Goes on") : asking.ask({ do: "hold" }, "Held"));
  return h(
    "button",
    {
      type: "button",
      disabled: asking.busy,
      "aria-pressed": isHeld,
      onClick: press,
      "data-ainerd": "hold",
      title: isHeld
        ? "let the agent take suggestions again"
        : "no new suggestion is taken; the run in progress ends as it would",
    },
    isHeld ? "go on" : "hold",
  );
}

/** Add a point, or exclude a box: numbers that a person types, or a place clicked on the map (`at`). */
function Wanted({ asking, scene, at, kind, onDone }) {
  const names = scene.motors.slice(0, 2);
  const start = () => Object.fromEntries(names.map((name, k) => [name, first(kind, scene.bounds[name], at?.[k])]));
  const [values, setValues] = useState(start);
  const [why, setWhy] = useState("");
  const id = useId();
  useEffect(() => setValues(start()), [kind, at?.[0], at?.[1]]);
  if (!asking.may) return null;
  const known = names.every((name) =>
    values[name].every((text) => text.trim() !== "" && Number.isFinite(Number(text))),
  );
  const send = async (event) => {
    event.preventDefault();
    const numbers = Object.fromEntries(names.map((name) => [name, values[name].map(Number)]));
    const done =
      kind === "add"
        ? await asking.ask(
            {
              do: "add",
              position: Object.fromEntries(names.map((name) => [name, numbers[name][0]])),
              why: why.trim() || undefined,
            },
            "Added",
          )
        : await asking.ask(
            {
              do: "exclude",
              region: Object.fromEntries(names.map((name) => [name, numbers[name].toSorted((a, b) => a - b)])),
              why: why.trim() || undefined,
            },
            "Excluded",
          );
    if (done) onDone?.();
  };
  const field = (name, k) =>
    h("input", {
      key: k,
      type: "text",
      inputMode: "decimal",
      value: values[name][k],
      size: 6,
      "aria-label": `${name}${kind === "add" ? "" : k ? ", to" : ", from"}`,
      onChange: (e) => setValues({ ...values, [name]: values[name].map((old, j) => (j === k ? e.target.value : old)) }),
    });
  return h(
    "form",
    { className: "wanted", onSubmit: send, "aria-label": kind === "add" ? "add a point" : "exclude a box" },
    h("strong", null, kind === "add" ? "Add a point" : "Exclude a box"),
    h("span", { className: "soft" }, " click the map, or type"),
    ...names.map((name) =>
      h(
        "p",
        { className: "row", key: name },
        h("label", null, labelled(name, scene.units[name])),
        ...values[name].map((_, k) => field(name, k)),
      ),
    ),
    h(
      "p",
      { className: "row" },
      h("label", { htmlFor: id }, "why"),
      h("input", { id, value: why, maxLength: 500, onChange: (e) => setWhy(e.target.value) }),
    ),
    h(
      "p",
      { className: "row" },
      h(
        "button",
        { type: "submit", className: "main", disabled: asking.busy || !known, "data-ainerd": kind },
        kind === "add" ? "add" : "exclude",
      ),
      h("button", { type: "button", className: "quiet", onClick: onDone }, "back"),
    ),
  );
}

function first(kind, bounds = [0, 1], at) {
  const text = (x) => String(+x.toPrecision(4));
  if (kind === "add") return [at === undefined ? "" : text(at)];
  if (at === undefined) return ["", ""];
  const half = (bounds[1] - bounds[0]) / 20;
  return [text(Math.max(bounds[0], at - half)), text(Math.min(bounds[1], at + half))];
}

/** A name for a regime. */
function Naming({ asking, regime, onDone }) {
  const [name, setName] = useState(regime.name ?? "");
  const id = useId();
  if (!asking.may) return null;
  const send = async (event) => {
    event.preventDefault();
    if (
      await asking.ask(
        { do: "name", regime: regime.id, name: name.trim() },
        name.trim() ? `Regime ${regime.id} is called ${name.trim()}` : `Regime ${regime.id} has no name`,
      )
    )
      onDone();
  };
  return h(
    "form",
    { className: "wanted", onSubmit: send },
    h(
      "p",
      { className: "row" },
      h("label", { htmlFor: id }, `Call regime ${regime.id}`),
      h("input", {
        id,
        value: name,
        maxLength: 60,
        autoFocus: true,
        onChange: (e) => setName(e.target.value),
        "data-ainerd": "name",
      }),
      h("button", { type: "submit", className: "main", disabled: asking.busy }, "name it"),
      h("button", { type: "button", className: "quiet", onClick: onDone }, "back"),
    ),
  );
}

/** What people asked for, newest first, and what became of it. */
function Commands({ commands, units }) {
  if (!commands?.length) return null;
  const what = (command) => {
    if (command.do === "exclude")
      return `exclude ${Object.entries(command.region ?? {})
        .map(([name, [low, high]]) => `${name} ${low} to ${high}`)
        .join(", ")}`;
    if (command.do === "add") return `add ${place(command.position, units)}`;
    if (command.do === "name") return `call regime ${command.regime} ${command.name || "nothing"}`;
    return VERBS[command.do] ?? command.do;
  };
  const line = (command) =>
    `${command.by || "somebody"}${command.verified ? "" : " (unverified)"}: ${what(command)}${command.why ? `, “${command.why}”` : ""}`;
  return h(
    "ul",
    { className: "commands", "aria-label": "what people asked for" },
    commands
      .slice()
      .sort((a, b) => b.t - a.t)
      .slice(0, 5)
      .map((command) =>
        h(
          "li",
          { key: command.id, className: command.status },
          h(
            "span",
            { className: "state" },
            { asked: "asked", done: "done", refused: "refused" }[command.status] ?? command.status,
          ),
          line(command),
          command.answer && command.answer !== command.why ? h("em", null, ` ${command.answer}`) : null,
        ),
      ),
  );
}
