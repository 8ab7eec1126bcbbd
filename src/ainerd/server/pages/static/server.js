// Requests to the server that the page came from, and to no other.
const OURS = new URL("..", document.currentScript.src).pathname.replace(/\/$/, "");
const API = "/api/v1";

/** A path of Tiled, safe in an address. */
const encoded = (path) => path.split("/").map(encodeURIComponent).join("/");

/** The server's refusal, with its `status`. */
class Refused extends Error {
  constructor(status, answer) {
    const detail = answer?.detail;
    const reason = typeof detail === "string" ? detail : (detail?.reason ?? detail?.detail);
    super(
      reason || (status === 401 || status === 403 ? "the server does not allow it" : `the server answered ${status}`),
    );
    this.status = status;
  }
}

/** A GET with the person's authentication; `Refused` unless it succeeds. */
async function get(url, options = {}) {
  const token = window.__TILED_ACCESS_TOKEN__;
  const headers = { ...(token ? { Authorization: `Bearer ${token}` } : {}), ...options.headers };
  const response = await fetch(url, { ...options, headers, credentials: "same-origin" });
  if (!response.ok) throw new Refused(response.status, await response.json().catch(() => null));
  return response;
}

/** The fields of a query that have a value. */
const given = (query) => Object.entries(query).filter(([, value]) => (value ?? "") !== "");

/** The answer of one of our routes: campaign, session, table, result, replay; null if nothing is new. */
async function ask(route, path, query = {}, options = {}) {
  const answer = await get(`${OURS}/${route}/${encoded(path)}?${new URLSearchParams(given(query))}`, options);
  return answer.status === 204 ? null : answer.json();
}

/** Send something to the server, with the token that protects against pages of other sites. */
async function tell(route, path, body) {
  const { csrf } = await ask("session", path);
  const headers = { "Content-Type": "application/json", ...(csrf ? { "x-csrf": csrf } : {}) };
  const options = { method: "POST", headers, body: JSON.stringify(body) };
  return (await get(`${OURS}/${route}/${encoded(path)}`, options)).json();
}

const ARRAY_TYPES = {
  f4: Float32Array, f8: Float64Array, i4: Int32Array, i2: Int16Array, i1: Int8Array, u4: Uint32Array, u2: Uint16Array,
  u1: Uint8Array, i8: BigInt64Array, u8: BigUint64Array, float32: Float32Array, float64: Float64Array,
  int32: Int32Array, int64: BigInt64Array,
}; // prettier-ignore

/** The numbers of an array of Tiled as a typed array; `slice` as Tiled writes it, such as "0,:,:". */
async function numbers(path, dtype = "float32", slice) {
  const query = new URLSearchParams({ ...(slice ? { slice } : {}), format: "application/octet-stream" });
  const bytes = await (await get(`${API}/array/full/${encoded(path)}?${query}`)).arrayBuffer();
  const values = new (ARRAY_TYPES[String(dtype).replace(/^[<=|]/, "")] ?? Float32Array)(bytes);
  return typeof values[0] === "bigint" ? Float64Array.from(values, Number) : values;
}

/** The mean over the first axis of an array, thinned: `{values, shape}`; null where the server has none. */
async function mean(path, step = 1) {
  try {
    const response = await get(`${OURS}/mean/${encoded(path)}?step=${step}`);
    const shape = response.headers.get("x-shape").split(",").map(Number);
    return { values: new Float32Array(await response.arrayBuffer()), shape };
  } catch (error) {
    if (error.status === 404) return null;
    throw error;
  }
}

/** The address of the small picture of a result; undefined if its technique has none. */
const thumbnail = (root, key, array) =>
  array && `${API}/array/full/${encoded(root)}/results/${encodeURIComponent(key)}/${array}`;

/** The address of a node in Tiled's web interface. */
const page = (path) => `/ui/browse/${encoded(path)}`;

/** A link to a node in Tiled's web interface, with its path as key; `more` are further properties. */
const link = (path, text, more) => h("a", { key: path, href: page(path), ...more }, text);

const loading = {};
const PLOTLY = `${OURS}/static/plotly.min.js`;
const LONGEST_MS = 1500;

/**
 * Fetch Plotly now, but run it only when `first` has settled and is drawn, or after 1.5 s: it keeps a browser busy for
 * about a second, and the answers to requests that were sent before arrive meanwhile.
 */
function plotlyAfter(first) {
  if (window.Plotly || loading.plotly) return;
  document.head.append(Object.assign(document.createElement("link"), { rel: "preload", as: "script", href: PLOTLY }));
  const drawn = first.then(() => new Promise((done) => requestAnimationFrame(() => setTimeout(done))));
  loading.first = Promise.race([drawn, new Promise((done) => setTimeout(done, LONGEST_MS))]).catch(() => {});
}

/** Plotly, loaded when it is first needed. */
function plotly() {
  return (loading.plotly ||= Promise.resolve(loading.first).then(loadPlotly));
}

function loadPlotly() {
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

/** The component of a technique, which may have a `Gallery`; null if it has none. */
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
