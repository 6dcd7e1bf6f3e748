// The search of the theme runs in a worker, and a browser starts none for a page that was opened as a file. There, a hidden
// frame does the same work: the worker's script runs in it, and messages go to and fro. The name of this file is what the
// theme's offline plugin looks for, before it would fetch a substitute from the internet.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super()
      const frame = document.createElement("iframe")
      frame.hidden = true
      document.head.append(frame)
      this.inside = frame.contentWindow
      this.waiting = []
      // What the script sends goes to whoever made this worker, not to the frame itself.
      this.inside.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }))
      this.inside.importScripts = (...urls) => Promise.all(urls.map((one) => this.load(one)))
      this.load(url).then(() => {
        const held = this.waiting
        this.waiting = null
        held.forEach((data) => this.hand(data))
      })
    }

    load(url) {
      const script = this.inside.document.createElement("script")
      script.src = new URL(url, location.href).href
      this.inside.document.body.append(script)
      return new Promise((done) => {
        script.onload = done
      })
    }

    hand(data) {
      this.inside.dispatchEvent(new this.inside.MessageEvent("message", { data }))
    }

    postMessage(data) {
      if (this.waiting) {
        this.waiting.push(data)
      } else {
        this.hand(data)
      }
    }

    terminate() {}
  }
}
