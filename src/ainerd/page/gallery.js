// The selected run: the picture of a run in progress, and the charts of its technique for it and for similar runs.
const PICTURE_MS = 2000;
const PICTURE_SIDE = 260; // pixels of a whole run

/** The picture of an agent's run in progress while `wanted`: `{values, shape}`; null while there is none. */
function useProgress(path, wanted) {
  const [picture, setPicture] = useState(null);
  useEffect(() => {
    setPicture(null);
    if (!wanted) return;
    let [stopped, timer] = [false, undefined];
    const once = async () => {
      try {
        const read = document.hidden ? null : await array(`${path}/picture`);
        if (!stopped && read) setPicture(read);
      } catch {} // the first line of the page shows that the server is away
      if (!stopped) timer = setTimeout(once, PICTURE_MS);
    };
    once();
    return () => {
      stopped = true;
      clearTimeout(timer);
    };
  }, [path, wanted]);
  return picture;
}

/** The limits of the gray levels: quantiles off the diagonal, where there is often noise alone. */
function limits(values, width) {
  const isOff = (k) => Math.abs((k % width) - Math.floor(k / width)) > 1;
  const sorted = values.filter((value, k) => Number.isFinite(value) && isOff(k)).sort();
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
  return sorted.length ? [at(0.02), at(0.98)] : [0, 1];
}

/** Draw a picture in the lower left corner, as large as the `share` of the run that was read. */
function paint(canvas, { values, shape: [height, width] }, share) {
  const [low, high] = limits(values, width);
  const small = pixelCanvas(width, height, (k) => {
    const level = 255 * (1 - Math.min(1, Math.max(0, (values[k] - low) / (high - low || 1))));
    return [level * 0.85, level * 0.92, level, Number.isFinite(values[k]) ? 255 : 0];
  });
  const pen = canvas.getContext("2d");
  canvas.width = canvas.height = PICTURE_SIDE; // clears it
  pen.imageSmoothingEnabled = false;
  const side = Math.max(1, Math.round(PICTURE_SIDE * share));
  pen.drawImage(small, 0, PICTURE_SIDE - side, side, side);
}

/** The `run` in progress of the agent whose node is at `agentPath`. */
function Progress({ agentPath, run }) {
  const picture = useProgress(agentPath, Boolean(run?.picture));
  const canvas = useRef(null);
  const { scan, read, of, frame_time_s } = run ?? {};
  const share = of ? Math.min(1, read / of) : 1;
  useEffect(() => void (picture && canvas.current && paint(canvas.current, picture, share)), [picture]);
  if (!picture || !run) return null;
  const time = frame_time_s ? `, ${span(read * frame_time_s)}` : "";
  const text = `${runName(scan)} in progress: ${read}${of ? ` of ${of}` : ""} frames${time}`;
  return h(
    "figure",
    { className: "progress", "data-ainerd": "live", "data-read": read },
    h("canvas", { ref: canvas, role: "img", "aria-label": `Picture of the frames so far; ${text}` }),
    h("figcaption", null, text),
  );
}

/** The component of a technique: undefined until it is loaded, null if there is none. */
function useTechnique(name) {
  const load = () => techniqueView(name).catch(() => null);
  const { value } = useAsync(() => load().then((view) => ({ name, view })), [name]);
  return value && value.name === name ? value.view : undefined;
}

/** The verdict on a run and the technique's pictures of it. */
function Gallery({ scene, root, state, asking, run, compared, follows, onAsked, onPick, onFollow }) {
  const { technique } = scene;
  const view = useTechnique(technique);
  const isBefore = ({ key }) => scene.byKey.get(key).number < run.number;
  const similar = useMemo(() => run && similarTo(scene.runs, run).find(isBefore), [scene, run]);
  const nearest = similar ? scene.byKey.get(similar.key) : null;
  const isReady = view !== undefined;
  const isAsked = !run || run.failed || isReady;
  useEffect(() => void (isAsked && onAsked?.()), [isAsked]); // after the technique's own effects
  const { health } = state;
  const inProgress = follows && !health?.closed ? health?.run : null;
  const progress = h(Progress, { agentPath: `${root}/agents/${state.agent_key}`, run: inProgress });
  if (!run) return h("div", { className: "gallery" }, progress, nothing("no complete run yet"));
  if (compared && view?.Compare) {
    const keys = compared.map(({ key }) => key).join();
    const own = h(view.Compare, { node, path: `${root}/results`, runs: compared });
    return h("div", { className: "gallery" }, h(Safe, { what: "the comparison", key: keys }, own));
  }
  const step = (by, symbol, label) => {
    const other = scene.runs[run.number - 1 + by];
    return button(symbol, () => onPick(other.key), { disabled: !other, "aria-label": label });
  };
  const { thumbnail: array } = TECHNIQUES[technique] ?? {};
  const pictures = () => {
    if (run.failed) return nothing(`This run could not be analysed: ${run.reason ?? "no reason is given"}.`);
    if (!isReady) return nothing("reading…");
    if (view?.Gallery) {
      const own = h(view.Gallery, { React, get, path: `${root}/results`, newest: run, nearest, runs: scene.runs });
      return h(Safe, { what: "the technique's gallery", key: `${run.key} ${run.status} ${run.u} ${run.v}` }, own);
    }
    if (!array) return nothing("the technique has no picture");
    return h(Picture, { className: "large", address: thumbnail(root, run.key, array), alt: `picture of ${runName(run.scan)}` });
  };
  const title = [
    step(-1, "‹", "the run before"),
    step(1, "›", "the run after"),
    h("strong", null, runName(run.scan)),
    h("span", { className: "soft" }, ` at ${place(run.place, scene.units)} `),
    dot(run.color),
    h("span", null, run.failed ? "failed" : regimeName(run.regime, scene.regimes)),
    h("span", null, run.p === null ? "no p-value" : `p = ${number(run.p)}`),
    run.novel && h("strong", { className: "novel" }, "NOVEL"),
    link(`${root}/results/${run.key}`, "open"),
    h(LeaveOut, { key: run.key, asking, run }),
    !follows && button("back to the newest", onFollow, { className: "quiet" }),
  ];
  const row = h("div", { className: "row title" }, ...title);
  return h("div", { className: "gallery", "data-ainerd": "gallery" }, progress, row, pictures());
}
