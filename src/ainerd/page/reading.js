// What a page reads of a campaign: everything that it shows once, then the parts whose counters have grown.
const EVERY_MS = 2000; // between two looks at the counters of the agents, if the server has no stream
const HEARD_MS = 10_000; // if it has one
const AGAIN_MS = 60_000; // until a server without a stream is asked for one again
const WHOLE_S = 60; // after this time everything new is read, whatever the counters are
const LONGEST_WAIT_MS = 30_000; // between requests to a server that does not answer
const SILENT_S = 60; // after which a page turns to another agent that reports
const FIRST = 1000; // results that are read at first, and with each press on the button for more
const RECENT = 60; // results, lines or suggestions that are read after a change
const MOST_LINES = 2000;
const OF_AGENT = "{agent: agent, counters: counters, session: at.session, health: health}";
const UNFINISHED = ["computing", "growing"];
const LONG = new Set(["parameters", "software", "model", "calibration", "embedding"]); // of a result; not kept

/** Whether an agent has reported lately. */
const isHere = (health, now) => Boolean(health && !health.closed && now - (health.heard ?? now) < SILENT_S);

/** The metadata of a result without the long ones, with its point in the latent space. */
function kept(metadata) {
  const short = Object.fromEntries(Object.entries(metadata).filter(([name]) => !LONG.has(name)));
  const point = Array.isArray(metadata.embedding) ? Float32Array.from(metadata.embedding) : null;
  return { ...short, point, has_alpha: metadata.calibration?.alpha };
}

/** Reads the campaign at a path; `agent` is the name of one, by default the agent that reported last. */
class Reader {
  constructor(root, agent) {
    Object.assign(this, { root, wanted: agent, results: new Map(), lines: [], notes: [], labels: {}, leftOut: {}, commands: [] });
    Object.assign(this, { suggestions: new Map(), known: {}, wholeAt: 0, count: 0, agents: [], state: {} });
  }

  /** Read what has changed; returns the names of the parts, empty if nothing has. */
  async look() {
    await this.lookAtAgents();
    const whole = this.now - this.wholeAt > WHOLE_S || this.shown !== this.key;
    if (this.shown !== this.key) Object.assign(this, { state: {}, commands: [], belief: null, known: {} });
    const { counters, session } = this.agents.find((each) => each.key === this.key) ?? {};
    const stamp = (name) => `${session} ${counters?.[name]}`;
    const names = ["results", "suggestions", "atlas", "log", "state"];
    const isAsked = (name) => this.asked && ["log", "state"].includes(name); // what a person has just written
    const changed = names.filter((name) => whole || isAsked(name) || this.known[name] !== stamp(name));
    this.asked = false;
    await Promise.all(changed.map((name) => this[`read_${name}`]()));
    for (const name of changed) this.known[name] = stamp(name);
    if (whole) this.wholeAt = this.now;
    this.shown = this.key;
    return changed;
  }

  /** Read the names, counters and signs of life of the agents, and select one. */
  async lookAtAgents() {
    if (!this.hasAgents) {
      const { nodes, now } = await children(this.root, { fields: "", keys: ["agents"] });
      Object.assign(this, { now, hasAgents: nodes.length > 0 });
    }
    if (this.hasAgents) {
      const { nodes, now } = await children(`${this.root}/agents`, { select: OF_AGENT, limit: 100 });
      this.now = now;
      const agents = nodes.map(({ key, metadata }) => ({ key, ...metadata })).filter(({ agent }) => agent);
      this.agents = agents.toSorted((a, b) => (b.health?.heard ?? 0) - (a.health?.heard ?? 0));
    }
    const same = this.agents.find(({ key }) => key === this.key); // of several agents the same one, while it reports
    const named = this.agents.find(({ agent }) => agent === this.wanted);
    const chosen = this.wanted ? named : isHere(same?.health, this.now) ? same : this.agents[0];
    this.key = chosen?.key ?? "";
    this.agent = chosen?.agent ?? this.wanted ?? "";
  }

  /** Read results that are new or not finished; at first the newest ones. */
  async read_results() {
    if (!this.results.size) return this.more();
    const path = `${this.root}/results`;
    for (let offset = 0, n = RECENT; n === RECENT; offset += n) {
      const { nodes, count } = await children(path, { limit: RECENT, offset, count: true });
      this.count = count ?? this.count;
      n = nodes.some(({ key }) => this.results.has(key)) ? 0 : nodes.length;
      this.take(nodes);
    }
    const isOpen = ([, { status, awaits_regime, retake }]) => UNFINISHED.includes(status) || awaits_regime || retake;
    const keys = [...this.results].filter(isOpen).map(([key]) => key).slice(-RECENT);
    if (keys.length) this.take((await children(path, { keys })).nodes);
  }

  /** Read the results before those that are known. */
  async more() {
    const path = `${this.root}/results`;
    const offsets = Array.from({ length: Math.ceil(FIRST / PAGE) }, (_, k) => this.results.size + k * PAGE);
    const limit = (k) => Math.min(PAGE, FIRST - k * PAGE);
    const read = offsets.map((offset, k) => children(path, { offset, limit: limit(k), count: k === 0 }));
    const pages = await Promise.all(read);
    this.count = pages[0].count ?? this.count;
    for (const { nodes } of pages) this.take(nodes);
  }

  take(nodes) {
    for (const { key, metadata } of nodes) if (metadata.status) this.results.set(key, kept(metadata));
  }

  async read_suggestions() {
    const path = `${this.root}/suggestions`;
    const take = ({ nodes }) => nodes.forEach(({ key, metadata }) => this.suggestions.set(key, metadata));
    take(await children(path, { limit: RECENT }));
    const named = [...(this.state.queue ?? []), this.state.measuring];
    const keys = named.filter((key) => key && !this.suggestions.has(key));
    if (keys.length) take(await children(path, { keys }));
  }

  async read_atlas() {
    const { nodes } = await children(`${this.root}/atlas`, { limit: 1 });
    this.atlas = nodes[0]?.key;
    this.labels = nodes[0]?.metadata.labels ?? {};
    this.leftOut = nodes[0]?.metadata.left_out ?? {};
  }

  async read_log() {
    const path = `${this.root}/log`;
    const isFirst = !this.lines.length;
    const newest = children(path, { limit: isFirst ? PAGE : RECENT, count: true });
    if (isFirst) this.notes = (await children(path, { equal: { kind: "note" } })).nodes.map(({ metadata }) => metadata);
    const { nodes, count = 0 } = await newest;
    const last = this.lines.at(-1)?.key ?? "";
    const at = nodes.findIndex(({ key }) => key === last);
    const fresh = (at < 0 ? nodes : nodes.slice(0, at)).toReversed();
    if (!isFirst) this.notes = [...fresh.filter(({ metadata }) => metadata.kind === "note").map((x) => x.metadata), ...this.notes];
    // without the last known line among the newest ones there is a gap: only the newest are kept
    const lines = at < 0 ? [] : this.lines;
    const shown = fresh.map(({ key, metadata }) => ({ ...metadata, key, t: seconds(metadata.created) }));
    this.lines = [...lines, ...shown].slice(-MOST_LINES);
    this.before = Math.max(0, count - this.lines.length);
  }

  /** Read the whole state of the agent, the commands to it, and its map of beliefs. */
  async read_state() {
    if (!this.key) return this.read_suggestions();
    const path = `${this.root}/agents/${this.key}`;
    const [{ metadata }, { nodes }] = await Promise.all([node(path), children(path, { fields: "" })]);
    const below = new Set(nodes.map(({ key }) => key));
    const queues = ["holds", "commands"].filter((name) => below.has(name));
    const sent = await Promise.all(queues.map((name) => children(`${path}/${name}`, { limit: RECENT })));
    const command = ({ key, metadata }) => ({ ...metadata, id: key, t: seconds(metadata.created) });
    this.commands = sent.flatMap(({ nodes }) => nodes.map(command)).toSorted((a, b) => a.t - b.t);
    const { belief } = metadata;
    if (belief && below.has("belief") && this.belief?.version !== belief.version) {
      const { values } = await array(`${path}/belief`);
      const n = values.length / 3;
      this.belief = { ...belief, regime: values.subarray(0, n), confidence: values.subarray(n, 2 * n) };
    }
    if (!belief) this.belief = null;
    this.state = metadata;
    await this.read_suggestions();
  }
}

/**
 * The state of a campaign and of the connection: `{state, feed, again, more}`.
 *
 * `feed.kind` is "starting", "live", "hidden" (the page is not visible: no requests), "away" (the server does not
 * answer; the next request is after `feed.wait` ms) or "refused"; `again()` looks now, `more()` reads older results.
 */
function useCampaign(root, agent) {
  const [state, setState] = useState(null);
  const [feed, setFeed] = useState({ kind: "starting" });
  const act = useRef({});
  useEffect(() => {
    const reader = new Reader(root, agent);
    let [timer, failures, busy, isOver, wanted, stream, scene] = [undefined, 0, false, false, false, null, null];
    const later = (ms) => {
      clearTimeout(timer);
      timer = setTimeout(once, ms);
    };
    const subscribe = () => {
      if (isOver || stream || !reader.hasAgents) return;
      const ended = () => setTimeout(() => ((stream = null), subscribe()), AGAIN_MS);
      stream = { stop: () => {} };
      stream.stop = subscribed(`${root}/agents`, () => ((stream.hears = true), soon()), () => ((stream.hears = false), ended()));
    };
    const soon = () => (busy ? (wanted = true) : later(0));
    async function once(read = () => reader.look()) {
      if (isOver || busy) return void (wanted = true);
      if (document.hidden) return setFeed({ kind: "hidden" });
      [busy, wanted] = [true, false];
      try {
        const changed = await read();
        if (isOver) return;
        failures = 0;
        if (changed.length || !scene) scene = makeScene(reader);
        setState(shownState(reader, scene));
        setFeed((old) => (old.kind === "live" ? old : { kind: "live" }));
        subscribe();
        later(wanted ? 0 : stream?.hears ? HEARD_MS : EVERY_MS);
      } catch (error) {
        if (isOver) return;
        failures += 1;
        const wait = Math.min(LONGEST_WAIT_MS, 1000 * 2 ** failures);
        const refused = error.status >= 400 && error.status < 500;
        setFeed({ kind: refused ? "refused" : "away", why: error.message, wait });
        later(wait);
      } finally {
        busy = false;
      }
    }
    act.current = {
      again: () => ((reader.asked = true), soon()),
      more: () => once(async () => (await reader.more(), ["results"])),
    };
    const targets = { visibilitychange: document, online: window };
    const stops = Object.entries(targets).map(([event, target]) => listened(target, event, soon));
    once();
    return () => {
      isOver = true;
      clearTimeout(timer);
      [() => stream?.stop(), ...stops].forEach((stop) => stop());
    };
  }, [root, agent]);
  return { state, feed, again: () => act.current.again(), more: () => act.current.more() };
}

/** Who the server takes the person for, and whether they may write: `{who, may_write}`; null until known. */
function useSession(root, key) {
  const { value } = useAsync(() => (key ? session(root, key) : null), [root, key]);
  return value ?? null;
}

const sessions = {};

/**
 * Ask the server once. One without accounts takes all from whoever has its key. Another has a policy, which it states only
 * by an answer: a command's container that exists is refused with 409, or with 403 to whoever may not write.
 */
function session(root, key) {
  const path = `${root}/agents/${key}`;
  const ask = async () => {
    const { authentication } = await (await get(`${API}/`)).json();
    if (!authentication.providers.length) return { may_write: credentials() !== null };
    const me = await (await get(`${API}/auth/whoami`)).json();
    const { status } = await create(path, "commands", {}, "AinerdCommands").catch((error) => error);
    return { who: me.identities?.[0]?.id, may_write: status === 200 || status === 409 };
  };
  return (sessions[path] ||= ask().catch((error) => {
    delete sessions[path];
    throw error;
  }));
}
