// The browser's part of the page: shows what Python sends, and sends what the user does. It makes no decisions.
//
// All data is sent as custom messages. Widget state would be saved in the notebook's file, so the token and the uploaded
// sheet must not be part of it. Files are sent in chunks, each after the previous one has arrived: a websocket drops
// messages over 10 MB without an error.

const CHUNK_BYTES = 1 << 20;

function formValues(form) {
  const values = {};
  for (const input of form.elements) {
    if (!input.name) continue;
    if (input.type === "checkbox") values[input.name] = input.checked;
    else if (input.type !== "radio" || input.checked) values[input.name] = input.value;
  }
  return values;
}

function clearPasswords(form) {
  for (const input of form.querySelectorAll("input[type=password]")) input.value = "";
}

function saveDownload(chunks, name, type) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(chunks, { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

function render({ model, el }) {
  const view = crypto.randomUUID ? crypto.randomUUID() : String(Math.random());
  const root = document.createElement("div");
  root.className = "invoca-bulk-page";
  el.append(root);
  const send = (action, content = {}, buffers = []) => model.send({ do: action, view, ...content }, undefined, buffers);
  const region = (name) => root.querySelector(`[data-region="${name}"]`);
  let acknowledge = null; // called when Python has stored a chunk
  let downloadChunks = [];

  const messageHandlers = {
    page: ({ html }) => {
      root.innerHTML = html;
      root.dataset.ready = "yes";
    },
    show: ({ region: name, html, focus }) => {
      const section = region(name);
      if (!section) return;
      const focused = section.contains(document.activeElement) ? document.activeElement : null;
      section.innerHTML = html;
      section.hidden = !html;
      const replacement = focused && focused.id ? section.querySelector(`#${CSS.escape(focused.id)}`) : null;
      if (replacement) replacement.focus({ preventScroll: true });
      if (focus || (focused && !replacement)) focusHeading(section);
    },
    more: ({ go }) => acknowledge?.(go),
    piece: ({ name, type, last }, buffers) => {
      downloadChunks.push(buffers[0]);
      if (!last) return;
      saveDownload(downloadChunks, name, type);
      downloadChunks = [];
    },
  };

  // Moves the focus to new content, for users of a keyboard or a screen reader.
  function focusHeading(section) {
    const heading = section.querySelector("h2, h3");
    if (!heading) return;
    heading.tabIndex = -1;
    heading.focus({ preventScroll: true });
    section.scrollIntoView({ block: "start", behavior: "smooth" });
  }

  const receive = (message, buffers) => {
    if (message.view && message.view !== view) return;
    messageHandlers[message.do]?.(message, buffers);
  };

  async function upload(file) {
    const status = region("upload");
    for (let at = 0; at === 0 || at < file.size; at += CHUNK_BYTES) {
      const chunk = await file.slice(at, at + CHUNK_BYTES).arrayBuffer();
      const acknowledged = new Promise((resolve) => (acknowledge = resolve));
      send("upload", { name: file.name, size: file.size, at }, [chunk]);
      if (!(await acknowledged)) break;
      if (!status) continue;
      const percent = file.size ? Math.min(100, Math.round((100 * (at + chunk.byteLength)) / file.size)) : 100;
      status.textContent = `Uploading ${file.name}: ${percent}%`;
    }
    acknowledge = null;
    if (status) status.textContent = "";
  }

  function uploadChosen(files) {
    if (files.length === 1) {
      upload(files[0]).catch(() => send("upload_failed", { name: files[0].name }));
    } else if (files.length > 1) {
      send("too_many", { count: files.length });
    }
  }

  root.addEventListener("submit", (event) => {
    event.preventDefault();
    const form = event.target;
    send(form.dataset.do, { values: formValues(form), ...form.dataset });
    clearPasswords(form);
  });
  root.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-do]");
    if (!button) return;
    event.preventDefault();
    send(button.dataset.do, { ...button.dataset });
  });
  root.addEventListener("change", (event) => {
    const input = event.target;
    if (input.type === "file") {
      uploadChosen(input.files);
      input.value = "";
    } else if ("shows" in input.dataset) {
      for (const group of root.querySelectorAll("[data-shown-by]")) group.hidden = group.dataset.shownBy !== input.id;
    }
  });
  for (const [name, isOver] of [["dragover", true], ["dragleave", false], ["drop", false]]) {
    root.addEventListener(name, (event) => {
      const dropArea = event.target.closest(".drop");
      if (!dropArea) return;
      event.preventDefault();
      dropArea.classList.toggle("over", isOver);
      if (name === "drop") uploadChosen(event.dataTransfer.files);
    });
  }

  model.on("msg:custom", receive);
  send("hello");
  return () => model.off("msg:custom", receive);
}

export default { render };
