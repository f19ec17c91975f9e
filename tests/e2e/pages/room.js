// An endpoint of document 003 in a browser: WebSocket to the room server, Janus for the media.
// Tests call `room.*` and read `room.heard`. It publishes when told to, and subscribes to whoever does.
"use strict";

const room = {
  heard: [], // the events, in order
  faults: [],
  streams: {}, // by stream id, the connection over which it comes in
  published: "",
  asked: new Map(),
  cseq: 0,

  // Joins; resolves with the answer's data.
  async join(url, app, channel, endpoint) {
    room.name = `${app}/${channel}`;
    room.endpoint = endpoint;
    room.socket = new WebSocket(url);
    await new Promise((resolve, reject) => {
      room.socket.onopen = resolve;
      room.socket.onerror = () => reject(new Error("no connection"));
    });
    room.socket.onmessage = (event) => room.take(JSON.parse(event.data));
    room.session = "";
    const joined = await room.ask("channel.join", { app, channel, endpoint, role: "normal" });
    room.session = joined.session;
    await room.meet(joined.media_server);
    return joined;
  },

  ask(method, data) {
    const cseq = ++room.cseq;
    room.socket.send(JSON.stringify({ version: 0, cseq, method, session: room.session, data }));
    return new Promise((resolve, reject) => room.asked.set(cseq, { resolve, reject }));
  },

  take(message) {
    if (message.event) {
      room.heard.push(message);
      // One after the other, since what Janus does takes its time.
      room.turn = (room.turn || Promise.resolve())
        .then(() => room.handle(message.event, message.data))
        .catch((fault) => room.faults.push(String(fault)));
      return;
    }
    const { resolve, reject } = room.asked.get(message.cseq);
    room.asked.delete(message.cseq);
    if (message.err) reject(new Error(`${message.err} ${message.err_msg}`));
    else resolve(message.data);
  },

  // The media server of the room, whoever is published there already included.
  async meet(server) {
    room.server = server;
    room.streams = {};
    room.janus = await Janus.open(server.ws);
  },

  async publish(stream_id) {
    await room.janus.publish(room.name, stream_id);
    const codecs = { has_video: true, has_audio: true, audio_codec: "opus", video_codec: "vp8" };
    await room.ask("stream.add", { stream: { type: "camera", stream_id, ...codecs } });
    room.published = stream_id;
  },

  async subscribe(stream_id) {
    room.streams[stream_id] = await room.janus.subscribe(room.name, stream_id);
  },

  // Subscribes to all who publish already.
  async look() {
    const { endpoint_list } = await room.ask("channel.dump", {});
    for (const { endpoint, stream } of endpoint_list) {
      if (stream && endpoint !== room.endpoint) await room.subscribe(stream.stream_id);
    }
    return endpoint_list;
  },

  async handle(event, data) {
    if (event === "stream" && data.stat === "publish") {
      await room.subscribe(data.stream);
    } else if (event === "stream") {
      if (room.streams[data.stream]) room.streams[data.stream].close();
      delete room.streams[data.stream];
    } else if (event === "error" && data.type === "media_server_changed") {
      room.janus.close();
      const again = room.published;
      if (again) await room.ask("stream.delete", { stream_id: again });
      const { media_server } = await room.ask("media_server.dump", { protocol: "webrtc" });
      await room.meet(media_server);
      if (again) await room.publish(again);
    }
  },
};
