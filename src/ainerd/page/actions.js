// What a person may ask of the agent: take, not this, hold, exclude, add, name, leave out, undo. Whoever may only read sees none of it.

const VERBS = { take: "take", reject: "not this", take_back: "take it back", hold: "hold", release: "go on" };
const QUIET = { className: "quiet" };
const ANSWER_MS = 10_000; // for which an answer is shown

/**
 * How a person sends commands: `{may, session, who, setWho, ask, busy, answer, commands}`; `commands` are the newest.
 *
 * A command is a node, which the agent answers. `answer` is `{good, text}`, the outcome of the last one.
 */
function useAsking(root, state, again) {
  const session = useSession(root, state?.agent_key);
  const [who, setWho] = useStored("ainerd-who", "");
  const [busy, setBusy] = useState(false);
  const [answer, setAnswer] = useState(null);
  async function ask(command, done) {
    if (busy) return false;
    if (!session.who && !who.trim()) {
      setAnswer({ good: false, text: "Type your name first." });
      return false;
    }
    setBusy(true);
    setAnswer(null);
    try {
      const verdict = ["take", "reject"].includes(command.do) ? "verdict" : command.do === "take_back" && "back";
      const id = verdict ? `${verdict}-${command.suggestion}` : newId(); // of two verdicts the first counts
      const by = session.who ?? oneLine(who);
      const sent = { ...command, by, created: new Date().toISOString(), agent: state.agent, status: "asked" };
      const queue = ["hold", "release"].includes(command.do) ? "holds" : "commands";
      await create(`${root}/agents/${state.agent_key}/${queue}`, id, sent, "AinerdCommand");
      setAnswer({ good: true, text: `${done}: sent to the agent, not answered yet.`, id, done });
      return true;
    } catch (error) {
      setAnswer({ good: false, text: error.status === 409 ? "Somebody was first: see below." : error.message });
      return false;
    } finally {
      setBusy(false);
      again?.();
    }
  }
  const may = Boolean(session?.may_write && !state?.health?.closed);
  return { may, session, who, setWho, ask, busy, answer, commands: state?.commands };
}

/** A text without line breaks and characters that no keyboard types. */
const oneLine = (text) => text.replace(/\s+/g, " ").replace(/\p{C}/gu, "").trim();

/** Who asks: the account, or the name that the person types. */
function Who({ asking }) {
  if (asking.session.who) return h("p", { className: "soft" }, `You are ${asking.session.who}.`);
  const field = { label: "You are", value: asking.who, onText: asking.setWho, placeholder: "your name" };
  return h(Field, { ...field, maxLength: 60, autoComplete: "name", "data-ainerd": "who" });
}

/** The outcome of the last command: the answer of the agent, for a while; until then that it was sent. */
function Answer({ asking }) {
  const sent = asking.answer;
  const answered = sent?.id && asking.commands?.find((each) => each.id === sent.id && each.status !== "asked");
  const [over, setOver] = useState(null); // the id of a command whose answer was shown long enough
  useEffect(() => {
    if (!answered) return;
    const timer = setTimeout(() => setOver(answered.id), ANSWER_MS);
    return () => clearTimeout(timer);
  }, [answered?.id]);
  const shown = sent && over !== (sent.id ?? undefined) ? sent : null;
  const text = answered ? `${sent.done}: ${answered.answer || answered.status}.` : shown?.text;
  const className = shown ? (shown.good && answered?.status !== "refused" ? "good" : "bad") : "empty";
  const attributes = { className, role: "status", "aria-live": "polite", "data-ainerd": "answer" };
  return h("p", attributes, shown ? text : "");
}

/** A button that withdraws a suggestion that a person took, or a point that one added. */
function TakeBack({ asking, id, where }) {
  const label = where ? { "aria-label": `${where}: take it back` } : {};
  const ask = () => asking.ask({ do: "take_back", suggestion: id }, "Taken back");
  return button("take it back", ask, { disabled: asking.busy, "data-ainerd": "back", ...label });
}

/** The two buttons of a suggestion, and a field for the reason against it. */
function Verdict({ asking, next }) {
  const [why, setWhy] = useState(null); // null: the person gives no reason yet
  if (next.status && next.status !== "proposed") return null;
  const verdict = asking.commands?.find((each) => each.suggestion === next.id && each.status === "asked");
  if (verdict) {
    const text = `${verdict.by || "somebody"}: ${VERBS[verdict.do]} (not answered yet)`;
    return h("p", { className: "soft", "data-ainerd": "pending" }, text);
  }
  const asks = why !== null;
  const { id: suggestion, position, terms = {}, reason = "" } = next;
  const subject = { suggestion, position, terms, reason };
  const take = () => asking.ask({ do: "take", ...subject }, "Taken");
  const reject = async (event) => {
    event.preventDefault();
    if (!asks) return setWhy("");
    const command = { do: "reject", ...subject, why: oneLine(why) };
    if (await asking.ask(command, "Not this")) setWhy(null);
  };
  const field = { label: "Why not?", value: why, onText: setWhy, placeholder: "such as: a bubble there" };
  const submit = { type: "submit", disabled: asking.busy || (asks && !why.trim()), "data-ainerd": "reject" };
  return h(
    "form",
    { className: "verdict", onSubmit: reject },
    asks && h(Field, { ...field, maxLength: 500, autoFocus: true, "data-ainerd": "why" }),
    h(
      "p",
      { className: "row" },
      !asks && button("take", take, { className: "main", disabled: asking.busy, "data-ainerd": "take" }),
      button(asks ? "not this, for this reason" : "not this", undefined, submit),
      asks && button("back", () => setWhy(null), QUIET),
    ),
  );
}

/** Hold: the agent takes no new suggestion until somebody releases it. */
function Hold({ asking, held }) {
  const isHeld = Boolean(held);
  const press = () => (isHeld ? asking.ask({ do: "release" }, "Goes on") : asking.ask({ do: "hold" }, "Held"));
  const title = isHeld
    ? "let the agent begin exposures again"
    : "no exposure begins; the one in progress ends normally";
  const attributes = { disabled: asking.busy, "aria-pressed": isHeld, title, "data-ainerd": "hold" };
  return button(isHeld ? "go on" : "hold", press, attributes);
}

/** A form to add a point or exclude a box: a person types numbers, or clicks a place on the map (`at`). */
function Wanted({ asking, scene, at, kind, onDone }) {
  const names = scene.motors;
  const isPoint = kind === "add";
  const usual = names.length > 2 ? scene.next?.position : null; // of the knobs that the map does not show
  const start = () =>
    names.map((name) => {
      const range = scene.bounds[name];
      return isPoint ? [digits(at?.[name] ?? usual?.[name], range)] : around(at?.[name], range);
    });
  const [texts, setTexts] = useState(start); // of each motor
  const [why, setWhy] = useState("");
  useEffect(() => setTexts(start()), [at]);
  const isNumber = (text) => text.trim() !== "" && Number.isFinite(Number(text));
  const isEmpty = (each) => !isPoint && each.every((text) => text.trim() === ""); // not limited
  const limited = names.map((_, k) => k).filter((k) => !isEmpty(texts[k]));
  const isKnown = limited.length > 0 && limited.every((k) => texts[k].every(isNumber));
  const send = async (event) => {
    event.preventDefault();
    const limits = texts.map((each) => each.map(Number).toSorted((a, b) => a - b));
    const values = Object.fromEntries(limited.map((k) => [names[k], isPoint ? limits[k][0] : limits[k]]));
    const command = { do: kind, [isPoint ? "position" : "region"]: values, why: oneLine(why) };
    if (await asking.ask(command, isPoint ? "Added" : "Excluded")) onDone();
  };
  const input = (k, j) =>
    h("input", {
      key: j,
      inputMode: "decimal",
      value: texts[k][j],
      size: 6,
      "aria-label": `${names[k]}${isPoint ? "" : j ? ", to" : ", from"}`,
      onChange: (e) => setTexts(texts.with(k, texts[k].with(j, e.target.value))),
    });
  const motor = (name, k) => {
    const inputs = texts[k].map((_, j) => input(k, j));
    return h("p", { className: "row", key: name }, h("label", null, labelled(name, scene.units[name])), inputs);
  };
  const title = isPoint ? "Add a point" : "Exclude a box";
  const submit = { type: "submit", className: "main", disabled: asking.busy || !isKnown, "data-ainerd": kind };
  return h(
    "form",
    { className: "wanted", onSubmit: send, "aria-label": title.toLowerCase() },
    h("strong", null, title),
    h("span", { className: "soft" }, " click the map, or type"),
    names.map(motor),
    h(Field, { label: "why", value: why, onText: setWhy, maxLength: 500 }),
    h("p", { className: "row" }, button(isPoint ? "add" : "exclude", undefined, submit), button("back", onDone, QUIET)),
  );
}

/** A coordinate, rounded to less than a thousandth of its range; "" for none. */
function digits(x, [low, high] = [0, 1]) {
  if (!Number.isFinite(x)) return "";
  return String(+x.toFixed(Math.min(20, Math.max(0, 4 - Math.ceil(Math.log10(high - low || 1))))));
}

/** The limits of a box around a place, a tenth of the bounds wide; empty texts without a place. */
function around(at, bounds = [0, 1]) {
  if (at === undefined) return ["", ""];
  const half = (bounds[1] - bounds[0]) / 20;
  return [Math.max(bounds[0], at - half), Math.min(bounds[1], at + half)].map((x) => digits(x, bounds));
}

/** A form that names a regime. */
function Naming({ asking, regime, onDone }) {
  const [name, setName] = useState(regime.name ?? "");
  const send = async (event) => {
    event.preventDefault();
    const text = oneLine(name);
    const done = `Regime ${regime.id} ${text ? `is called ${text}` : "has no name"}`;
    if (await asking.ask({ do: "name", regime: regime.id, name: text }, done)) onDone();
  };
  const field = { label: `Call regime ${regime.id}`, value: name, onText: setName, maxLength: 60, autoFocus: true };
  const submit = { type: "submit", className: "main", disabled: asking.busy };
  const buttons = [button("name it", undefined, submit), button("back", onDone, QUIET)];
  return h("form", { className: "wanted", onSubmit: send }, h(Field, { ...field, "data-ainerd": "name" }, ...buttons));
}

/** Whether a run is left out, and a form that leaves a spoilt one out. */
function LeaveOut({ asking, run }) {
  const [why, setWhy] = useState(null); // null: nothing is asked
  if (run.left_out) return h("strong", { className: "warn" }, leftOutText(run));
  if (!asking.may || run.failed) return null;
  const title = "regimes, references and the map are made without this run";
  if (why === null) return button("leave out", () => setWhy(""), { ...QUIET, title, "data-ainerd": "leave_out" });
  const send = async (event) => {
    event.preventDefault();
    const command = { do: "leave_out", result: run.key, name: runName(run.scan), why: oneLine(why) };
    if (await asking.ask(command, "Left out")) setWhy(null);
  };
  const field = { label: "Why?", value: why, onText: setWhy, placeholder: "such as: a bubble", maxLength: 500, autoFocus: true };
  const submit = { type: "submit", disabled: asking.busy || !why.trim() };
  const buttons = [button("leave it out", undefined, submit), button("back", () => setWhy(null), QUIET)];
  return h("form", { className: "row", onSubmit: send }, h(Field, { ...field, "data-ainerd": "why-out" }, ...buttons));
}

/** A button that takes back the last decision: a box, a name, a run that was left out. */
function Undo({ asking, last }) {
  const ask = () => asking.ask({ do: "undo", decision: last.id }, "Undone");
  return button("undo", ask, { disabled: asking.busy, title: `takes back: ${last.text}`, "data-ainerd": "undo" });
}

/** The five newest commands of people, newest first, and the agent's answers. */
function Commands({ commands, units }) {
  if (!commands?.length) return null;
  const what = (command) => {
    const limits = Object.entries(command.region ?? {}).map(([name, [low, high]]) => `${name} ${low} to ${high}`);
    if (command.do === "exclude") return `exclude ${limits.join(", ")}`;
    if (command.do === "add") return `add ${place(command.position, units)}`;
    if (command.do === "leave_out") return `leave out ${command.name}`;
    if (command.do === "name") return `call regime ${command.regime} ${command.name || "by its number"}`;
    return VERBS[command.do] ?? command.do;
  };
  const line = (command) =>
    h(
      "li",
      { key: command.id, className: command.status },
      h("span", { className: "state" }, command.status),
      `${command.by || "somebody"}: ${what(command)}${command.why ? `, “${command.why}”` : ""}`,
      command.answer && command.answer !== command.why && h("em", null, ` ${command.answer}`),
    );
  const newest = commands.toSorted((a, b) => b.t - a.t).slice(0, 5);
  return h("ul", { className: "commands", "aria-label": "commands of people" }, newest.map(line));
}
