// The page's player: it sounds while speech is made, and afterwards is an ordinary player of the whole.
// Samples come as a WAV (16 bits, mono) from the server and are scheduled by Web Audio; they sound through an <audio>
// element, so that the browser's own controls of media apply.
(() => {
  "use strict";
  const HEADER = 44, PEAK = 0.01, AHEAD = 4, PIECE = 0.5, START = 0.06;
  const players = new Set();

  class Player {
    constructor(root) {
      this.root = root;
      this.find = (name) => root.querySelector(name);
      this.audio = this.find("audio");
      this.canvas = this.find("canvas");
      this.button = this.find(".play");
      this.wave = this.find(".wave");
      this.save = this.find(".save");
      this.clear();
      this.button.addEventListener("click", () => (this.playing ? this.pause() : this.play()));
      this.wave.addEventListener("pointerdown", (event) => this.seek((event.offsetX / this.wave.clientWidth) * this.seconds));
      this.wave.addEventListener("keydown", (event) => {
        const step = { ArrowLeft: -2, ArrowRight: 2, Home: -Infinity, End: Infinity }[event.key];
        if (step === undefined) return;
        event.preventDefault();
        this.seek(this.position + step);
      });
      // A pause by the browser's own controls, or by a key for media.
      this.audio.addEventListener("pause", () => this.playing && this.pause());
      new ResizeObserver(() => this.draw()).observe(this.wave);
      new MutationObserver(() => this.draw()).observe(document.body, { attributeFilter: ["class"] });
    }

    clear() {
      this.chunks = [];
      this.peaks = [];
      this.length = this.offset = 0;
      this.rate = null;
      this.whole = true;
      this.playing = false;
      this.sources = [];
      this.show();
    }

    get seconds() { return this.rate ? this.length / this.rate : 0; }

    // Seconds into the speech, of what is heard now.
    get position() {
      if (!this.playing) return this.offset;
      return Math.min(this.offset + Math.max(0, this.context.currentTime - this.started), this.planned / this.rate);
    }

    async load(address) {
      if (address === this.address) return; // It is there already, and may be playing.
      this.address = address;
      this.pause();
      this.fetching?.abort();
      this.clear();
      if (!address) return;
      this.whole = false;
      this.save.href = address;
      this.save.download = decodeURIComponent(address.split("/").pop());
      const fetching = (this.fetching = new AbortController());
      if (this.root.dataset.autoplay) this.wanted = true;
      this.show();
      try {
        const answer = await fetch(address, { signal: fetching.signal });
        if (!answer.ok) throw new Error(await answer.text());
        const reader = answer.body.getReader();
        let rest = new Uint8Array(0);
        for (;;) {
          const { done, value } = await reader.read();
          if (done || fetching.signal.aborted) break;
          const bytes = new Uint8Array(rest.length + value.length);
          bytes.set(rest);
          bytes.set(value, rest.length);
          rest = this.take(bytes);
        }
      } catch (error) {
        if (!fetching.signal.aborted) console.warn("the speech broke off:", error);
      }
      if (fetching.signal.aborted) return;
      this.whole = true;
      this.pump();
      this.show();
    }

    // Takes whole samples; gives back the bytes that are left.
    take(bytes) {
      let start = 0;
      if (this.rate === null) {
        if (bytes.length < HEADER) return bytes;
        this.rate = new DataView(bytes.buffer).getUint32(24, true);
        start = HEADER;
      }
      const end = bytes.length - ((bytes.length - start) % 2);
      if (end > start) this.add(new Int16Array(bytes.slice(start, end).buffer));
      return bytes.slice(end);
    }

    add(samples) {
      const size = Math.round(PEAK * this.rate);
      samples.forEach((value, place) => {
        const peak = Math.floor((this.length + place) / size);
        this.peaks[peak] = Math.max(this.peaks[peak] || 0, Math.abs(value));
      });
      this.chunks.push({ start: this.length, samples });
      this.length += samples.length;
      if (this.wanted) {
        this.wanted = false;
        this.play();
      }
      this.pump();
      this.show();
    }

    play() {
      if (!this.length) return;
      for (const other of players) if (other !== this) other.pause();
      if (this.whole && this.offset >= this.seconds - 0.01) this.offset = 0;
      // At the speech's own rate: pieces that follow each other then join without a seam.
      if (this.context?.sampleRate !== this.rate) {
        this.context?.close();
        this.context = new AudioContext({ sampleRate: this.rate });
        this.sink = this.context.createMediaStreamDestination();
        this.audio.srcObject = this.sink.stream;
      }
      this.playing = true;
      this.context.resume();
      this.audio.play().catch(() => this.pause()); // Refused before the first click: the button is there.
      this.anchor();
      this.timer = setInterval(() => this.pump(), 200);
      this.pump();
      this.show();
      this.animate();
    }

    // From here on what is at `offset` sounds at `started`.
    anchor() {
      this.started = Math.ceil((this.context.currentTime + START) * this.rate) / this.rate;
      this.planned = Math.round(this.offset * this.rate);
    }

    // Hands what is due soon to Web Audio.
    pump() {
      if (!this.playing) return;
      const late = this.context.currentTime - (this.started + this.planned / this.rate - this.offset);
      if (late > 0) {
        this.offset = this.planned / this.rate;
        if (this.planned >= this.length) {
          if (this.whole) this.pause();
          else this.anchor(); // It has caught up with the voice.
          return this.show();
        }
        this.anchor();
      }
      const until = this.context.currentTime + AHEAD;
      for (;;) {
        const when = this.started + this.planned / this.rate - this.offset;
        const count = Math.min(Math.round(PIECE * this.rate), this.length - this.planned);
        if (count <= 0 || when > until) break;
        const buffer = this.context.createBuffer(1, count, this.rate);
        buffer.copyToChannel(this.samples(this.planned, count), 0);
        const source = this.context.createBufferSource();
        source.buffer = buffer;
        source.connect(this.sink);
        source.onended = () => this.sources.splice(this.sources.indexOf(source), 1);
        source.start(when);
        this.sources.push(source);
        this.planned += count;
      }
    }

    samples(start, count) {
      const values = new Float32Array(count);
      let low = 0, high = this.chunks.length - 1;
      while (low < high) {
        const middle = (low + high + 1) >> 1;
        if (this.chunks[middle].start <= start) low = middle;
        else high = middle - 1;
      }
      for (let filled = 0; filled < count; low++) {
        const { start: first, samples } = this.chunks[low];
        const from = start + filled - first;
        const part = samples.subarray(from, from + count - filled);
        for (let place = 0; place < part.length; place++) values[filled + place] = part[place] / 32768;
        filled += part.length;
      }
      return values;
    }

    pause() {
      this.wanted = false;
      if (!this.playing) return;
      this.offset = this.position;
      this.playing = false;
      clearInterval(this.timer);
      for (const source of this.sources.splice(0)) {
        source.onended = null;
        source.stop();
      }
      this.audio.pause();
      this.show();
    }

    seek(seconds) {
      const again = this.playing;
      this.pause();
      this.offset = Math.max(0, Math.min(seconds, this.seconds));
      if (again) this.play();
      else this.show();
    }

    animate() {
      if (!this.playing) return;
      this.show();
      requestAnimationFrame(() => this.animate());
    }

    show() {
      const ready = this.length > 0, position = this.position;
      this.root.dataset.state = this.playing ? "playing" : ready ? "ready" : this.whole ? "empty" : "waiting";
      this.root.classList.toggle("live", !this.whole);
      this.button.disabled = !ready;
      this.button.setAttribute("aria-label", this.playing ? "Pause" : "Play");
      this.find(".time").textContent = `${clock(position)} / ${clock(this.seconds)}`;
      this.save.hidden = !(ready && this.whole);
      this.wave.setAttribute("aria-valuemax", this.seconds.toFixed(1));
      this.wave.setAttribute("aria-valuenow", position.toFixed(1));
      this.draw();
    }

    draw() {
      const { canvas } = this, ratio = window.devicePixelRatio || 1;
      const width = this.wave.clientWidth, height = this.wave.clientHeight;
      if (!width) return;
      if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
        canvas.width = Math.round(width * ratio);
        canvas.height = Math.round(height * ratio);
      }
      const pen = canvas.getContext("2d"), style = getComputedStyle(this.root);
      pen.setTransform(ratio, 0, 0, ratio, 0, 0);
      pen.clearRect(0, 0, width, height);
      const bars = Math.floor(width / 4), heard = this.seconds ? this.position / this.seconds : 0;
      const top = this.root.dataset.level || Math.max(3000, this.peaks.reduce((most, value) => Math.max(most, value), 0));
      for (let bar = 0; bar < bars; bar++) {
        let peak = 0;
        const first = Math.floor((bar / bars) * this.peaks.length);
        const last = Math.max(first + 1, Math.floor(((bar + 1) / bars) * this.peaks.length));
        for (let place = first; place < last; place++) peak = Math.max(peak, this.peaks[place] || 0);
        const size = Math.max(2, (peak / top) * height * 0.92);
        pen.fillStyle = style.getPropertyValue(this.length && bar / bars < heard ? "--heard" : "--unheard");
        pen.fillRect(bar * 4, (height - size) / 2, 3, size);
      }
    }
  }

  function clock(seconds) {
    const tenths = Math.floor(seconds * 10 + 1e-6);
    return `${Math.floor(tenths / 600)}:${String(Math.floor(tenths / 10) % 60).padStart(2, "0")}.${tenths % 10}`;
  }

  window.wavetts = {
    players,
    attach(element, props, watch) {
      const player = new Player(element.querySelector(".player"));
      players.add(player);
      watch("value", () => player.load(props.value));
      if (props.value) player.load(props.value);
    },
    count(text, longest) {
      const length = [...text].length, over = length > longest;
      const tail = over ? `, ${length - longest} too many` : "";
      return `<div class="count ${over ? "over" : ""}"><span>Ctrl+Enter speaks</span>`
        + `<b>${length} of ${longest} characters${tail}</b></div>`;
    },
    stop() {
      for (const player of players) player.pause();
    },
  };

  // Ctrl+Enter (on a Mac, Command+Enter) speaks what the tab in front has.
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    const button = [...document.querySelectorAll("button.go")].find((one) => one.offsetParent);
    if (!button) return;
    event.preventDefault();
    event.stopPropagation();
    button.click();
  }, true);
})();
