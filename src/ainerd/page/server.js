// Requests to the Tiled server that the page came from, by its own interface. Nothing is fetched from elsewhere.
const FILES = new URL(".", document.currentScript.src).href; // of the scripts and styles
const BASE = window.location.pathname.split("/ui/")[0]; // where a proxy serves Tiled
const API = `${BASE}/api/v1`;
const KEY = "tiled_api_key"; // of Tiled's own cookie, and of ours in the storage of the tab
const LONGEST_MS = 30_000; // of a request: a connection that was lost in silence never ends
const PAGE = 300; // nodes of one answer, at most

/** The key of a server without accounts: the page `open.html` keeps it for this tab. */
function apiKey() {
  const given = new URLSearchParams(window.location.hash.slice(1)).get("key");
  if (given) {
    sessionStorage.setItem(KEY, given);
    window.history.replaceState(null, "", window.location.pathname + window.location.search);
  }
  return sessionStorage.getItem(KEY) ?? new RegExp(`(?:^|; )${KEY}=([^;]*)`).exec(document.cookie)?.[1];
}

/** What proves who the person is: `{access_token}` of an account, or `{api_key}`; null if Tiled's cookie alone does. */
function credentials() {
  const token = window.__TILED_ACCESS_TOKEN__;
  if (token) return { access_token: token };
  const key = apiKey();
  return key ? { api_key: key } : null;
}

/** A path of Tiled, safe in an address. */
const encoded = (path) => path.split("/").map(encodeURIComponent).join("/");

/** The server's refusal, with its `status`. */
class Refused extends Error {
  constructor(status, answer) {
    const detail = typeof answer?.detail === "string" ? answer.detail : null;
    const isForbidden = status === 401 || status === 403;
    super(isForbidden ? "the server does not allow it" : (detail ?? `the server answered ${status}`));
    this.status = status;
  }
}

/** A request with the person's authentication, by default a GET; `Refused` unless it succeeds. */
async function get(url, options = {}) {
  const known = credentials();
  const scheme = known && (known.access_token ? `Bearer ${known.access_token}` : `Apikey ${known.api_key}`);
  const headers = { ...(known ? { Authorization: scheme } : {}), ...options.headers };
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(new Error(`no answer within ${LONGEST_MS / 1000} s`)), LONGEST_MS);
  const signal = options.signal ? AbortSignal.any([options.signal, late.signal]) : late.signal;
  try {
    // with Tiled's cookie beside the header a POST would need a token that no script can read
    const response = await fetch(url, { ...options, headers, signal, credentials: known ? "omit" : "same-origin" });
    if (!response.ok) throw new Refused(response.status, await response.json().catch(() => null));
    return response;
  } finally {
    clearTimeout(timer);
  }
}

/** The address of a question about a node; a list in the query is asked for with each of its values. */
function address(question, path, query = {}) {
  const pairs = Object.entries(query).flatMap(([name, value]) => [value].flat().map((each) => [name, each]));
  return `${API}/${question}/${encoded(path)}?${new URLSearchParams(pairs)}`;
}

/** The attributes of a node. */
async function node(path, fields = "metadata") {
  return (await (await get(address("metadata", path, { fields, omit_links: true }))).json()).data.attributes;
}

/**
 * Children of a node as `{nodes: [{key, metadata}], now}`, the newest first; `now` is the server's time.
 *
 * `equal` are values in their metadata, `keys` their keys, `select` is a JMESPath expression.
 */
async function children(path, { limit = PAGE, offset = 0, fields = "metadata", equal = {}, keys, select, count } = {}) {
  const query = { fields: count ? [fields, "count"] : fields, omit_links: true, sort: "-" };
  Object.assign(query, { "page[limit]": limit, "page[offset]": offset });
  if (select) query.select_metadata = select;
  if (keys) query["filter[keys_filter][condition][keys]"] = JSON.stringify(keys);
  query["filter[eq][condition][key]"] = Object.keys(equal);
  query["filter[eq][condition][value]"] = Object.values(equal).map((value) => JSON.stringify(value));
  const response = await get(address("search", path, query));
  const { data, meta } = await response.json();
  const nodes = data.map(({ id, attributes }) => {
    const metadata = attributes?.metadata ?? {};
    return { key: id, metadata: select ? (metadata.selected ?? metadata) : metadata };
  });
  return { nodes, count: meta?.count, now: Date.parse(response.headers.get("date")) / 1000 };
}

/** Create a node without data; 409 if its key exists. */
async function create(path, key, metadata, spec) {
  const { access_tags } = await node(path, "access_tags");
  const tags = (access_tags ?? []).filter((tag) => !/^(user|service):/.test(tag)); // those only Tiled gives
  const specs = [{ name: spec, version: "1.0" }];
  const shared = tags.length ? { access_tags: tags } : {};
  const body = { id: key, structure_family: "container", metadata, specs, data_sources: [], ...shared };
  const headers = { "Content-Type": "application/json" };
  return get(address("metadata", path), { method: "POST", headers, body: JSON.stringify(body) });
}

/** An id that sorts by time. */
function newId() {
  const random = crypto.getRandomValues(new Uint32Array(1))[0].toString(16).padStart(8, "0");
  return `${String(Date.now()).padStart(14, "0")}000000-${random}`;
}

/** Call `heard` at each message of the stream of a node, and `ended` at its end or where the server has none. */
function subscribed(path, heard, ended) {
  const known = credentials();
  if (!known) return ended(), () => {};
  const url = new URL(address("stream/single", path, { envelope_format: "json" }), window.location);
  url.protocol = url.protocol.replace("http", "ws");
  const socket = new WebSocket(url);
  socket.onopen = () => socket.send(JSON.stringify({ type: "auth", ...known }));
  socket.onmessage = heard;
  socket.onclose = ended;
  return () => {
    socket.onclose = null;
    socket.close();
  };
}

const ARRAY_TYPES = {
  f4: Float32Array, f8: Float64Array, i4: Int32Array, i2: Int16Array, i1: Int8Array, u4: Uint32Array, u2: Uint16Array,
  u1: Uint8Array, b1: Uint8Array, i8: BigInt64Array, u8: BigUint64Array,
}; // prettier-ignore

/** An array of Tiled as `{values, shape}`; `slice(shape)` gives the slice to read as Tiled writes it, such as "0,:,:". */
async function array(path, slice = () => "") {
  const { structure } = await node(path, "structure");
  const { kind, itemsize } = structure.data_type;
  const query = { format: "application/octet-stream", slice: slice(structure.shape) };
  if (!query.slice) delete query.slice;
  const bytes = await (await get(address("array/full", path, query))).arrayBuffer();
  const values = new ARRAY_TYPES[`${kind}${itemsize}`](bytes);
  return { values: typeof values[0] === "bigint" ? Float64Array.from(values, Number) : values, shape: structure.shape };
}

/** The numbers of an array. */
const numbers = async (path, slice) => (await array(path, slice && (() => slice))).values;

/** The rows of a table, or of a group of a file with an array for each column. */
async function readTable(path) {
  const read = async (question, path) => (await get(address(question, path, { format: "application/json" }))).json();
  const { structure_family } = await node(path, "structure_family");
  if (structure_family === "table") return rowsOf(await read("table/full", path));
  const { data } = await (await get(address("search", path, { fields: "", omit_links: true }))).json();
  const columns = data.map(async ({ id }) => [id, (await read("array/full", `${path}/${id}`)).map(decoded)]);
  return rowsOf(Object.fromEntries(await Promise.all(columns)));
}

/** A text, which Tiled writes as the address of its bytes in JSON; anything else as it is. */
function decoded(value) {
  const [, bytes] = /^data:application\/octet-stream;base64,(.*)$/.exec(value) ?? [];
  return bytes === undefined ? value : new TextDecoder().decode(Uint8Array.from(atob(bytes), (c) => c.charCodeAt(0)));
}

/** Columns by name as rows. */
function rowsOf(columns) {
  const row = (k) => Object.fromEntries(Object.entries(columns).map(([name, values]) => [name, values[k]]));
  return Array.from({ length: Object.values(columns)[0]?.length ?? 0 }, (_, k) => row(k));
}

const MOST = 150_000; // numbers that are read for a mean

/** The mean over the first axis of an array, thinned along the others: `{values, shape}`. NaN do not count. */
async function mean(path) {
  let step;
  const thin = (shape) => {
    step = Math.ceil(Math.sqrt(shape.reduce((a, b) => a * b) / MOST));
    return [":", ...shape.slice(1).map(() => `::${step}`)].join();
  };
  const { values, shape } = await array(path, thin);
  const n = values.length / shape[0];
  const means = Float32Array.from({ length: n }, (_, k) => {
    let [sum, seen] = [0, 0];
    for (let j = k; j < values.length; j += n) if (Number.isFinite(values[j])) [sum, seen] = [sum + values[j], seen + 1];
    return sum / seen;
  });
  return { values: means, shape: shape.slice(1).map((length) => Math.ceil(length / step)) };
}

/** The address of the small picture of a result; undefined if its technique has none. */
const thumbnail = (root, key, picture) => picture && `${API}/array/full/${encoded(root)}/results/${key}/${picture}`;

/** A picture that the server draws; an element of its own would send no key. */
function Picture({ address, ...more }) {
  const { value: source } = useAsync(async () => URL.createObjectURL(await (await get(address)).blob()), [address]);
  useEffect(() => source && (() => URL.revokeObjectURL(source)), [source]);
  return source ? h("img", { src: source, ...more }) : null;
}

/** The address of a node in Tiled's web interface. */
const page = (path) => `${BASE}/ui/browse/${encoded(path)}`;

/** A link to a node in Tiled's web interface, with its path as key; `more` are further properties. */
const link = (path, text, more) => h("a", { key: path, href: page(path), ...more }, text);

const loading = {};
const PATIENCE_MS = 1500;

/**
 * Fetch Plotly now, but run it only when `first` has settled and is drawn, or after 1.5 s: it keeps a browser busy for
 * about a second, and the answers to requests that were sent before arrive meanwhile.
 */
function plotlyAfter(first) {
  if (window.Plotly || loading.plotly) return;
  const href = `${FILES}plotly.min.js`;
  document.head.append(Object.assign(document.createElement("link"), { rel: "preload", as: "script", href }));
  const drawn = first.then(() => new Promise((done) => requestAnimationFrame(() => setTimeout(done))));
  loading.first = Promise.race([drawn, new Promise((done) => setTimeout(done, PATIENCE_MS))]).catch(() => {});
}

/** Plotly, loaded when it is first needed. */
function plotly() {
  return (loading.plotly ||= Promise.resolve(loading.first).then(() => script("plotly.min.js", () => window.Plotly)));
}

/** Run one of our files once, and return what it made. */
function script(name, made) {
  if (made()) return Promise.resolve(made());
  return (loading[name] ||= new Promise((done, failed) => {
    const element = Object.assign(document.createElement("script"), { src: FILES + name });
    element.onload = () => done(made());
    element.onerror = () => {
      delete loading[name];
      delete loading.plotly;
      failed(new Error(`${name} cannot be loaded`));
    };
    document.head.append(element);
  }));
}

/** The component of a technique, which may have a `Gallery`; null if it has none. */
function techniqueView(name) {
  if (!TECHNIQUES[name]?.view) return Promise.resolve(null);
  return script(`technique-${name}.js`, () => window.__AINERD_TECHNIQUES__?.[name] ?? null);
}
