// What is asked of the server that the page came from, and of no other.

const OURS = new URL("..", document.currentScript.src).pathname.replace(/\/$/, "");
const API = "/api/v1";

/** Each part of a path of Tiled, safe in an address. */
const encoded = (path) => path.split("/").map(encodeURIComponent).join("/");

function headers() {
  const token = window.__TILED_ACCESS_TOKEN__;
  return token ? { Authorization: `Bearer ${token}` } : {};
}

/** What the server said no with: `status`, and `said` if it was JSON. */
class Refused extends Error {
  constructor(status, said) {
    const detail = typeof said?.detail === "string" ? said.detail : (said?.detail?.said ?? said?.detail?.detail);
    super(
      detail || (status === 401 || status === 403 ? "the server does not let you" : `the server answered ${status}`),
    );
    this.status = status;
    this.said = said;
  }
}

/** A GET with the person's authentication; `Refused` if it is not answered with success. */
async function get(url, options = {}) {
  const response = await fetch(url, {
    ...options,
    headers: { ...headers(), ...options.headers },
    credentials: "same-origin",
  });
  if (!response.ok) throw new Refused(response.status, await response.json().catch(() => null));
  return response;
}

/** One of our own answers: `what` is campaign, session, table, result, replay; null where nothing is new. */
async function ask(what, path, query = {}, options = {}) {
  const said = new URLSearchParams(
    Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== ""),
  );
  const tail = said.size ? `?${said}` : "";
  const answer = await get(`${OURS}/${what}/${encoded(path)}${tail}`, options);
  return answer.status === 204 ? null : answer.json();
}

/** Tell the server something; what protects against other sites' pages is asked for first. */
async function tell(what, path, body) {
  const { csrf } = await ask("session", path);
  const more = { "Content-Type": "application/json", ...(csrf ? { "x-csrf": csrf } : {}) };
  return (
    await get(`${OURS}/${what}/${encoded(path)}`, { method: "POST", headers: more, body: JSON.stringify(body) })
  ).json();
}

/** Numbers of an array of Tiled as a typed array; `slice` in Tiled's words, such as "0,:,:". */
async function numbers(path, dtype, slice) {
  const query = new URLSearchParams({ ...(slice ? { slice } : {}), format: "application/octet-stream" });
  const bytes = await (await get(`${API}/array/full/${encoded(path)}?${query}`)).arrayBuffer();
  return typed(bytes, dtype);
}

const KINDS = {
  f4: Float32Array,
  f8: Float64Array,
  i4: Int32Array,
  i2: Int16Array,
  i1: Int8Array,
  u4: Uint32Array,
  u2: Uint16Array,
  u1: Uint8Array,
  i8: BigInt64Array,
  u8: BigUint64Array,
};

function typed(bytes, dtype = "float32") {
  const name = String(dtype)
    .replace(/^[<=|]/, "")
    .replace("float32", "f4")
    .replace("float64", "f8")
    .replace("int32", "i4")
    .replace("int64", "i8");
  const Kind = KINDS[name] ?? Float32Array;
  const values = new Kind(bytes);
  return Kind === BigInt64Array || Kind === BigUint64Array ? Float64Array.from(values, Number) : values;
}

/** Mean over the first axis of an array, thinned: `{values, shape}`; null where the server does not know how. */
async function mean(path, step = 1) {
  try {
    const response = await get(`${OURS}/mean/${encoded(path)}?step=${step}`);
    const shape = response.headers.get("x-shape").split(",").map(Number);
    return { values: new Float32Array(await response.arrayBuffer()), shape };
  } catch (error) {
    if (error instanceof Refused && error.status === 404) return null;
    throw error;
  }
}

/** Address of the small picture of a result; undefined if its technique has none. */
function thumbnail(root, key, what) {
  return what ? `${API}/array/full/${encoded(root)}/results/${encodeURIComponent(key)}/${what}` : undefined;
}

/** Where Tiled shows a node. */
const page = (path) => `/ui/browse/${encoded(path)}`;

const loading = {};
const PLOTLY = `${OURS}/static/plotly.min.js`;
const LONGEST_MS = 1500;

/**
 * Have Plotly fetched, and read once `first` has settled and is seen, or 1.5 s later: while a browser reads it, which
 * takes about a second, it does nothing else, and what is asked of the server before that is there afterwards.
 */
function plotlyAfter(first) {
  if (window.Plotly || loading.plotly) return;
  document.head.append(Object.assign(document.createElement("link"), { rel: "preload", as: "script", href: PLOTLY }));
  const seen = first.then(() => new Promise((done) => requestAnimationFrame(() => setTimeout(done))));
  loading.first = Promise.race([seen, new Promise((done) => setTimeout(done, LONGEST_MS))]).catch(() => {});
}

/** Plotly, once it is wanted. */
function plotly() {
  return (loading.plotly ||= Promise.resolve(loading.first).then(read));
}

function read() {
  return new Promise((done, failed) => {
    if (window.Plotly) return done(window.Plotly);
    const script = document.createElement("script");
    script.src = PLOTLY;
    script.onload = () => done(window.Plotly);
    script.onerror = () => {
      delete loading.plotly;
      failed(new Error("plotly.min.js cannot be loaded"));
    };
    document.head.append(script);
  });
}

/** What a technique draws: a component, perhaps with a `Gallery`; null if it has nothing of its own. */
function techniqueView(name, address) {
  if (!address) return Promise.resolve(null);
  return (loading[name] ||= import(address).then(
    () => window.__AINERD_TECHNIQUES__?.[name] ?? null,
    (error) => {
      delete loading[name];
      throw error;
    },
  ));
}
