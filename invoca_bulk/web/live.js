// The page's other half: shows what Python sends, and tells Python what the person does. It decides nothing.
//
// All data travel as custom messages. None of it is widget state, which a notebook's file would keep: not the token,
// not the uploaded sheet. A file goes in pieces, each sent after the last one has arrived: a websocket takes 10 MB at
// most, and says nothing about what is larger.

const PIECE = 1 << 20; // bytes

function values(form) {
  const found = {};
  for (const one of form.elements) {
    if (!one.name) continue;
    if (one.type === "checkbox") found[one.name] = one.checked;
    else if (one.type !== "radio" || one.checked) found[one.name] = one.value;
  }
  return found;
}

function forget(form) {
  for (const one of form.querySelectorAll("input[type=password]")) one.value = "";
}

function save(pieces, name, type) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(pieces, { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

function render({ model, el }) {
  const view = crypto.randomUUID ? crypto.randomUUID() : String(Math.random());
  const root = document.createElement("div");
  root.className = "invoca-bulk-page";
  el.append(root);
  const send = (what, content = {}, buffers = []) => model.send({ do: what, view, ...content }, undefined, buffers);
  const region = (name) => root.querySelector(`[data-region="${name}"]`);
  let arrived = null; // called when Python wants the next piece
  let download = [];

  // What Python asks for.
  const asked = {
    page: ({ html }) => {
      root.innerHTML = html;
      root.dataset.ready = "yes";
    },
    show: ({ region: name, html, focus }) => {
      const place = region(name);
      if (!place) return;
      const had = place.contains(document.activeElement) ? document.activeElement : null;
      place.innerHTML = html;
      place.hidden = !html;
      const again = had && had.id ? place.querySelector(`#${CSS.escape(had.id)}`) : null;
      if (again) again.focus({ preventScroll: true });
      if (focus || (had && !again)) settle(place);
    },
    more: ({ go }) => arrived?.(go),
    piece: ({ name, type, last }, buffers) => {
      download.push(buffers[0]);
      if (!last) return;
      save(download, name, type);
      download = [];
    },
  };

  // Whoever follows by keyboard or ear is led to what has just come.
  function settle(place) {
    const heading = place.querySelector("h2, h3");
    if (!heading) return;
    heading.tabIndex = -1;
    heading.focus({ preventScroll: true });
    place.scrollIntoView({ block: "start", behavior: "smooth" });
  }

  const receive = (message, buffers) => {
    if (message.view && message.view !== view) return;
    asked[message.do]?.(message, buffers);
  };

  async function upload(file) {
    const bar = region("upload");
    for (let at = 0; at === 0 || at < file.size; at += PIECE) {
      const piece = await file.slice(at, at + PIECE).arrayBuffer();
      const wanted = new Promise((resolve) => (arrived = resolve));
      send("upload", { name: file.name, size: file.size, at }, [piece]);
      if (!(await wanted)) break;
      if (!bar) continue;
      const share = file.size ? Math.min(100, Math.round((100 * (at + piece.byteLength)) / file.size)) : 100;
      bar.textContent = `Uploading ${file.name}: ${share}%`;
    }
    arrived = null;
    if (bar) bar.textContent = "";
  }

  function chosen(files) {
    if (files.length === 1) {
      upload(files[0]).catch(() => send("upload_failed", { name: files[0].name }));
    } else if (files.length > 1) {
      send("too_many", { count: files.length });
    }
  }

  root.addEventListener("submit", (event) => {
    event.preventDefault();
    const form = event.target;
    send(form.dataset.do, { values: values(form), ...form.dataset });
    forget(form);
  });
  root.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-do]");
    if (!button) return;
    event.preventDefault();
    send(button.dataset.do, { ...button.dataset });
  });
  root.addEventListener("change", (event) => {
    const one = event.target;
    if (one.type === "file") {
      chosen(one.files);
      one.value = "";
    } else if ("shows" in one.dataset) {
      for (const other of root.querySelectorAll("[data-shown-by]")) other.hidden = other.dataset.shownBy !== one.id;
    }
  });
  for (const [name, over] of [["dragover", true], ["dragleave", false], ["drop", false]]) {
    root.addEventListener(name, (event) => {
      const place = event.target.closest(".drop");
      if (!place) return;
      event.preventDefault();
      place.classList.toggle("over", over);
      if (name === "drop") chosen(event.dataTransfer.files);
    });
  }

  model.on("msg:custom", receive);
  send("hello");
  return () => model.off("msg:custom", receive);
}

export default { render };
