// The run in progress, as it fills in: one picture that the agent rewrites every second or two.

const PICTURE_MS = 1000;
const CANVAS_SIDE = 260; // pixels of the whole run

/** Asks for the picture of an agent while `wanted`: `{said, values, n}`; null while there is none. */
function useProgress(path, wanted) {
  const [picture, setPicture] = useState(null);
  useEffect(() => {
    setPicture(null);
    if (!wanted) return;
    let n = -1,
      ends = false,
      timer;
    const once = async () => {
      try {
        if (!document.hidden) {
          const answer = await get(`${OURS}/live/${encoded(path)}?n=${n}`);
          n = Number(answer.headers.get("x-n"));
          const bytes = answer.status === 204 ? null : await answer.arrayBuffer();
          if (ends) return;
          if (bytes)
            setPicture({ said: JSON.parse(answer.headers.get("x-said")), values: new Float32Array(bytes), n });
          else if (n < 0) setPicture(null);
        }
      } catch {
        // the campaign's own line says that the server is away
      }
      if (!ends) timer = setTimeout(once, PICTURE_MS);
    };
    once();
    return () => {
      ends = true;
      clearTimeout(timer);
    };
  }, [path, wanted]);
  return picture;
}

/** Low and high end of the colours: off the diagonal, where there is often noise alone, nothing is brighter than it is. */
function limits(values, width) {
  const known = [];
  values.forEach((value, k) => {
    if (Number.isFinite(value) && Math.abs((k % width) - Math.floor(k / width)) > 1) known.push(value);
  });
  known.sort((a, b) => a - b);
  const at = (share) => known[Math.min(known.length - 1, Math.floor(share * known.length))];
  return known.length ? [at(0.02), at(0.98)] : [0, 1];
}

function paint(canvas, { said, values }, share) {
  const [height, width] = said.shape;
  const [low, high] = limits(values, width);
  const small = document.createElement("canvas");
  [small.width, small.height] = [width, height];
  const image = small.getContext("2d").createImageData(width, height);
  values.forEach((value, k) => {
    const level = Math.min(1, Math.max(0, (value - low) / (high - low || 1)));
    const grey = 255 * (1 - level);
    const at = 4 * ((height - 1 - Math.floor(k / width)) * width + (k % width)); // the beginning is below, on the left
    image.data.set([grey * 0.85, grey * 0.92, grey, Number.isFinite(value) ? 255 : 0], at);
  });
  small.getContext("2d").putImageData(image, 0, 0);
  const pen = canvas.getContext("2d");
  canvas.width = canvas.height = CANVAS_SIDE; // clears it
  pen.imageSmoothingEnabled = false;
  const side = Math.max(1, Math.round(CANVAS_SIDE * share));
  pen.drawImage(small, 0, CANVAS_SIDE - side, side, side);
}

/** `agentPath` is the node of the agent; drawn while one of its runs goes on. */
function Progress({ agentPath, wanted }) {
  const picture = useProgress(agentPath, wanted);
  const canvas = useRef(null);
  const said = picture?.said;
  const share = said?.of ? Math.min(1, said.read / said.of) : 1;
  useEffect(() => void (picture && canvas.current && paint(canvas.current, picture, share)), [picture]);
  if (!said) return null;
  const seconds = said.frame_time_s ? `, ${span(said.read * said.frame_time_s)}` : "";
  const text = `scan ${said.scan} goes on: ${said.read}${said.of ? ` of ${said.of}` : ""} frames${seconds}`;
  return h(
    "figure",
    { className: "progress", "data-ainerd": "live", "data-read": said.read },
    h("canvas", { ref: canvas, role: "img", "aria-label": `What has come of it so far; ${text}` }),
    h("figcaption", null, text),
  );
}

// What the technique shows of the run that is looked at, beside what is most like it.

/** The technique's component once it is loaded: undefined while it is not, null if there is none. */
function useTechnique(name, address) {
  const [view, setView] = useState(undefined);
  useEffect(() => {
    let wanted = true;
    setView(undefined);
    techniqueView(name, address).then(
      (found) => wanted && setView(() => found),
      () => wanted && setView(null),
    );
    return () => void (wanted = false);
  }, [name, address]);
  return view;
}

/** The run that is most like one, of those before it, by all components: undefined until known, null if there is none. */
function useNearest(scene, root, run, newest) {
  const [asked, setFound] = useState({});
  const found = newest?.key === run?.key ? { key: run?.key, keys: newest?.nearest ?? [] } : asked;
  useEffect(() => {
    if (!run || run.failed || newest?.key === run.key) return;
    let wanted = true;
    ask("result", `${root}/results/${run.key}`).then(
      ({ nearest }) => wanted && setFound({ key: run.key, keys: nearest.map((each) => each.key) }),
      () => wanted && setFound({ key: run.key, keys: [] }),
    );
    return () => void (wanted = false);
  }, [root, run?.key, newest?.key]);
  if (found.key !== run?.key) return undefined;
  return found.keys.map((key) => scene.byKey.get(key)).find((other) => other && other.number < run.number) ?? null;
}

/** A heading that says what was found in a run, the run, and the technique's pictures of it. */
function Gallery({ scene, root, state, run, follows, replaying, onAsked, onPick, onFollow }) {
  const view = useTechnique(state.technique, state.views?.[state.technique]);
  const nearest = useNearest(scene, root, run, state.newest);
  const isAsked = !run || run.failed || (view !== undefined && nearest !== undefined);
  useEffect(() => void (isAsked && onAsked?.()), [isAsked]); // after the technique's own effects
  const goesOn = follows && !replaying && Boolean(state.computing?.length || state.health?.run) && !state.health?.closed;
  const progress = h(Progress, { agentPath: `${root}/agents/${state.agent_key}`, wanted: Boolean(state.agent_key) && goesOn });
  if (!run) return h("div", { className: "gallery" }, progress, h("p", { className: "nothing" }, "no complete run yet"));
  const step = (by) => {
    const other = scene.runs[run.number - 1 + by];
    return h(
      "button",
      {
        type: "button",
        disabled: !other,
        onClick: () => onPick(other.key),
        "aria-label": by < 0 ? "the run before" : "the run after",
      },
      by < 0 ? "‹" : "›",
    );
  };
  const at = place(
    Object.fromEntries(scene.motors.map((name, k) => [name, k ? run.y : run.x]).slice(0, 2)),
    scene.units,
  );
  const picture = thumbnail(root, run.key, state.thumbnail?.[state.technique]);
  const Own = view?.Gallery;
  return h(
    "div",
    { className: "gallery", "data-ainerd": "gallery" },
    progress,
    h(
      "div",
      { className: "row title" },
      step(-1),
      step(1),
      h("strong", null, `scan ${run.scan}`),
      h("span", { className: "soft" }, ` at ${at} `),
      h("i", { className: "mark", style: { background: run.colour }, "aria-hidden": true }),
      h("span", null, run.failed ? "failed" : regimeName(run.regime, scene.regimes)),
      h("span", null, run.p === null ? "no claim of novelty" : `p = ${number(run.p)}`),
      run.novel && h("strong", { className: "novel" }, "NOVEL"),
      h("a", { href: page(`${root}/results/${run.key}`) }, "open"),
      !follows && h("button", { type: "button", className: "quiet", onClick: onFollow }, "back to the newest"),
    ),
    run.failed
      ? h("p", { className: "nothing" }, "this run could not be analysed; its page says why")
      : view === undefined || nearest === undefined
        ? h("p", { className: "nothing" }, "reading…")
        : Own
          ? h(
              Safe,
              { what: "the technique's gallery", key: run.key },
              h(Own, { React, get, path: `${root}/results`, newest: run, nearest, runs: scene.runs }),
            )
          : picture
            ? h("img", { className: "large", src: picture, alt: `picture of scan ${run.scan}` })
            : h("p", { className: "nothing" }, "the technique has no picture"),
  );
}
