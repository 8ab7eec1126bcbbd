// Numbers, times and positions as text.

/** A number with three digits, like Python's ".3g"; empty if unknown. */
function number(x, digits = 3) {
  if (x === null || x === undefined || !Number.isFinite(x)) return "";
  if (x === 0) return "0";
  const size = Math.floor(Math.log10(Math.abs(x)));
  if (size < -4 || size >= digits + 3) return x.toExponential(digits - 1).replace(/\.?0+e/, "e");
  return String(+x.toPrecision(digits));
}

const isUnit = (unit) => Boolean(unit && unit !== "1");

/** A number and its unit, if it has one. */
function withUnit(x, unit, digits = 3) {
  const text = number(x, digits);
  return text && isUnit(unit) ? `${text} ${unit}` : text;
}

/** A number with its standard error, as value_with_error of words.py. */
function withError(x, error, unit) {
  let text = number(x);
  const size = Math.floor(Math.log10(Math.max(Math.abs(x), error)));
  if (text && error > 0 && size >= -4 && size < 6) {
    const digits = error.toExponential(2).slice(0, 4) < 3.55 ? 2 : 1;
    const short = +error.toPrecision(digits);
    const decimals = digits - 1 - Math.floor(Math.log10(short));
    const inTens = decimals < 0 ? 10 ** -decimals * Math.round(x * 10 ** decimals) : x;
    text = [inTens, short].map((each) => each.toFixed(Math.max(decimals, 0))).join(" ± ");
  } else if (text && Number.isFinite(error ?? NaN)) text = `${text} ± ${number(error, 2)}`;
  return isUnit(unit) ? `${text} ${unit}` : text;
}

/** "sample_x (mm)" */
const labelled = (name, unit) => (isUnit(unit) ? `${name} (${unit})` : name);

/** "tau" for "tau_s": the unit stands beside it. */
const plain = (name) => name.replace(/_(nm_s|deg|s)(?=$|_above|_below)/, "").replaceAll("_", " ");

/** "stress" for "stress_mean" where there is little room. */
const short = (name) => plain(name.replace(/_mean$/, ""));

/** The limits of a number, null where there is none: "2.4 to 24", "> 16". */
function limitsText([low, high]) {
  if (low !== null && high !== null) return `${number(low)} to ${number(high)}`;
  return low !== null ? `> ${number(low)}` : high !== null ? `< ${number(high)}` : "";
}

/** A quantity of a run with its error, or its limits. */
const quantityText = ({ of, errors, limits }, name) =>
  of[name] === null ? limitsText(limits[name]) : withError(of[name], errors[name]);

/** Three significant digits and at least two decimals: 5.62, and 0.00412 for a motor in metres. */
function coordinate(x) {
  if (typeof x !== "number" || !Number.isFinite(x)) return "?";
  const decimals = x ? Math.max(2, 2 - Math.floor(Math.log10(Math.abs(x)))) : 2;
  return decimals <= 6 ? x.toFixed(decimals) : x.toExponential(2);
}

/** "(5.62, 6.38) mm", with the unit of each motor if they differ. */
function place(position, units = {}) {
  const names = Object.keys(position ?? {});
  if (!names.length) return "";
  const known = new Set(names.map((name) => units[name] ?? ""));
  if (known.size > 1)
    return names.map((name) => `${name} = ${coordinate(position[name])} ${units[name] ?? ""}`.trim()).join(", ");
  return `(${names.map((name) => coordinate(position[name])).join(", ")}) ${[...known][0]}`.trim();
}

/** "left out by Ann: a bubble"; empty for a run that counts. */
const leftOutText = ({ left_out }) => (left_out ? `left out by ${left_out}` : "");

/** "scan 12"; or the name of a result file, where the run has no scan. */
const runName = (scan) => (/^(\d+(\.\d+)?|\?)$/.test(scan) ? `scan ${scan}` : scan);

/** Hours and minutes if the time (seconds since 1970) is today, else with the date. */
function clock(time, seconds = false) {
  if (!Number.isFinite(time)) return "";
  const when = new Date(1000 * time);
  const digits = { hour: "2-digit", minute: "2-digit", ...(seconds ? { second: "2-digit" } : {}), hourCycle: "h23" };
  const hours = when.toLocaleTimeString([], digits);
  const day = when.toLocaleDateString([], { day: "numeric", month: "short" });
  return when.toDateString() === new Date().toDateString() ? hours : `${day}, ${hours}`;
}

/** A duration: "12 s", "5 min", "3 h". */
function span(seconds) {
  if (!Number.isFinite(seconds)) return "";
  const s = Math.max(0, seconds);
  if (s < 90) return `${Math.round(s)} s`;
  if (s < 5400) return `${Math.round(s / 60)} min`;
  return s < 129600 ? `${Math.round(s / 3600)} h` : `${Math.round(s / 86400)} days`;
}

/** Seconds since 1970 of an ISO time. */
const seconds = (iso) => (iso ? Date.parse(iso) / 1000 : NaN);

/** "regime 3 (gel)", by the name that a person gave it, or "regime 3: steady", by what its exposures do. */
function regimeName(regime, regimes = []) {
  if (!(regime >= 0)) return "unassigned";
  const known = regimes.find((each) => each.id === regime);
  if (known?.name) return `regime ${regime} (${known.name})`;
  return `regime ${regime}` + (known?.kind ? `: ${known.kind}` : "");
}
