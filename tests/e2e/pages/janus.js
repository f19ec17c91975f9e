// A client of Janus' VideoRoom: its JSON over WebSocket, RTCPeerConnection, nothing else.
"use strict";

const ROOM_EXISTS = 427;
const KEEPALIVE_MILLISECONDS = 20000;

class Janus {
  // Connects, and begins a session.
  static async open(url) {
    const janus = new Janus();
    janus.asked = new Map();
    janus.up = new Map(); // by handle
    janus.connections = [];
    janus.socket = new WebSocket(url, "janus-protocol");
    await new Promise((resolve, reject) => {
      janus.socket.onopen = resolve;
      janus.socket.onerror = () => reject(new Error(`no connection to ${url}`));
    });
    janus.socket.onmessage = (event) => janus.take(JSON.parse(event.data));
    janus.socket.onclose = () => {
      for (const { reject } of janus.asked.values()) reject(new Error("Janus is gone"));
      janus.close();
    };
    janus.session = (await janus.ask({ janus: "create" })).data.id;
    janus.alive = setInterval(() => janus.write({ janus: "keepalive" }, "keepalive"), KEEPALIVE_MILLISECONDS);
    return janus;
  }

  close() {
    clearInterval(this.alive);
    this.socket.close();
    for (const connection of this.connections) connection.close();
  }

  write(message, transaction) {
    const session = this.session && { session_id: this.session };
    this.socket.send(JSON.stringify({ ...message, ...session, transaction }));
  }

  // Resolves with the answer; of what Janus does later, with that and not with its "ack".
  ask(message) {
    const transaction = crypto.randomUUID();
    this.write(message, transaction);
    return new Promise((resolve, reject) => this.asked.set(transaction, { resolve, reject }));
  }

  // Until then nobody can subscribe, whatever the browser's own side says.
  media(handle) {
    return new Promise((resolve) => this.up.set(handle, resolve));
  }

  take(message) {
    if (message.janus === "webrtcup" && this.up.has(message.sender)) this.up.get(message.sender)();
    const asked = this.asked.get(message.transaction);
    if (!asked || message.janus === "ack") return;
    this.asked.delete(message.transaction);
    const fault = message.error || (message.plugindata && message.plugindata.data);
    if (message.janus === "error" || (fault && fault.error_code)) {
      const error = new Error(`Janus: ${JSON.stringify(fault)}`);
      error.code = fault.code || fault.error_code;
      asked.reject(error);
    } else {
      asked.resolve(message);
    }
  }

  async attach() {
    return (await this.ask({ janus: "attach", plugin: "janus.plugin.videoroom" })).data.id;
  }

  tell(handle, body, jsep) {
    return this.ask({ janus: "message", handle_id: handle, body, jsep });
  }

  connection() {
    const connection = new RTCPeerConnection();
    this.connections.push(connection);
    return connection;
  }

  // Publishes camera and microphone under a name in a room, which is made if there is none.
  async publish(room, feed) {
    const handle = await this.attach();
    try {
      await this.tell(handle, { request: "create", room, publishers: 10, audiocodec: "opus", videocodec: "vp8" });
    } catch (error) {
      if (error.code !== ROOM_EXISTS) throw error;
    }
    await this.tell(handle, { request: "join", ptype: "publisher", room, id: feed });
    const connection = this.connection();
    const wanted = { audio: true, video: { width: 160, height: 120, frameRate: 10 } };
    const stream = await navigator.mediaDevices.getUserMedia(wanted);
    for (const track of stream.getTracks()) connection.addTrack(track, stream);
    await connection.setLocalDescription();
    await gathered(connection);
    const up = this.media(handle);
    const configure = { request: "configure", audio: true, video: true };
    const answer = await this.tell(handle, configure, connection.localDescription);
    await connection.setRemoteDescription(answer.jsep);
    await connected(connection);
    await up;
    return connection;
  }

  // Subscribes to what somebody published in a room.
  async subscribe(room, feed) {
    const handle = await this.attach();
    const offer = await this.tell(handle, { request: "join", ptype: "subscriber", room, streams: [{ feed }] });
    const connection = this.connection();
    await connection.setRemoteDescription(offer.jsep);
    await connection.setLocalDescription();
    await gathered(connection);
    await this.tell(handle, { request: "start" }, connection.localDescription);
    await connected(connection);
    return connection;
  }
}

function gathered(connection) {
  return new Promise((resolve) => {
    const look = () => connection.iceGatheringState === "complete" && resolve();
    connection.addEventListener("icegatheringstatechange", look);
    look();
  });
}

function connected(connection) {
  return new Promise((resolve, reject) => {
    const look = () => {
      if (connection.connectionState === "connected") resolve();
      if (["failed", "closed"].includes(connection.connectionState)) reject(new Error(connection.connectionState));
    };
    connection.addEventListener("connectionstatechange", look);
    look();
  });
}

// What came in: pictures decoded, and packets of sound.
async function received(connection) {
  const found = { frames: 0, packets: 0, state: connection.connectionState };
  (await connection.getStats()).forEach((one) => {
    if (one.type === "inbound-rtp" && one.kind === "video") found.frames = one.framesDecoded;
    if (one.type === "inbound-rtp" && one.kind === "audio") found.packets = one.packetsReceived;
  });
  return found;
}
