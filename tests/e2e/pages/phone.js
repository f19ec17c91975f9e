// A telephone of document 002 in a browser: WebSocket, RTCPeerConnection, nothing else.
// Tests call `phone.*` and read `phone.heard`. It answers every call that comes.
"use strict";

const phone = {
  heard: [], // "type word" of every message of a call, in order
  faults: [],
  policy: "all",
  user: null,
  call: null, // {id, peer, connection, pending}

  // Logs in; resolves with the payload of `connect`.
  start(url, token, policy) {
    phone.policy = policy;
    return new Promise((resolve, reject) => {
      phone.socket = new WebSocket(url, ["bearer", token]);
      phone.socket.onerror = () => reject(new Error("no connection"));
      phone.socket.onmessage = (event) => {
        const { type, payload } = JSON.parse(event.data);
        if (type === "connect") {
          phone.user = payload.user_id;
          phone.servers = payload.ice_servers;
          resolve(payload);
        } else {
          // One after the other, since what the browser does takes its time.
          phone.turn = (phone.turn || Promise.resolve())
            .then(() => phone.handle(type, payload))
            .catch((fault) => phone.faults.push(String(fault)));
        }
      };
    });
  },

  send(type, payload) {
    phone.socket.send(JSON.stringify({ type, payload }));
  },

  async open(id, peer) {
    const connection = new RTCPeerConnection({ iceServers: phone.servers, iceTransportPolicy: phone.policy });
    phone.call = { id, peer, connection, pending: [] };
    connection.onicecandidate = (event) => {
      phone.send("call.ice", { call_id: id, ice_candidate: event.candidate && event.candidate.toJSON() });
    };
    connection.onconnectionstatechange = () => {
      if (connection.connectionState === "connected") {
        phone.send("call.status", { call_id: id, status: "connected" });
      }
    };
    const wanted = { audio: true, video: { width: 160, height: 120, frameRate: 10 } };
    const stream = await navigator.mediaDevices.getUserMedia(wanted);
    for (const track of stream.getTracks()) connection.addTrack(track, stream);
    return connection;
  },

  // Calls somebody.
  async dial(peer, id) {
    const connection = await phone.open(id, peer);
    await connection.setLocalDescription();
    phone.send("call.offer", { call_id: id, to_user: peer, call_type: "video", sdp: connection.localDescription });
  },

  // Offers the running call anew, with other ICE credentials.
  async restart() {
    phone.call.connection.restartIce();
    await phone.call.connection.setLocalDescription();
    const sdp = phone.call.connection.localDescription;
    phone.send("call.offer", { call_id: phone.call.id, to_user: phone.call.peer, call_type: "video", sdp });
  },

  hangUp() {
    phone.send("call.end", { call_id: phone.call.id, reason: "user_hangup" });
  },

  async described(sdp) {
    await phone.call.connection.setRemoteDescription(sdp);
    for (const candidate of phone.call.pending.splice(0)) await phone.call.connection.addIceCandidate(candidate);
  },

  async handle(type, payload) {
    if (!type.startsWith("call.")) return;
    phone.heard.push(`${type} ${payload.status || payload.reason || ""}`.trim());
    if (type === "call.offer") {
      const connection =
        phone.call && phone.call.id === payload.call_id
          ? phone.call.connection
          : await phone.open(payload.call_id, payload.from_user);
      await phone.described(payload.sdp);
      await connection.setLocalDescription();
      phone.send("call.answer", { call_id: payload.call_id, sdp: connection.localDescription });
    } else if (type === "call.answer") {
      await phone.described(payload.sdp);
    } else if (type === "call.ice") {
      if (!payload.ice_candidate) return;
      if (phone.call.connection.remoteDescription) await phone.call.connection.addIceCandidate(payload.ice_candidate);
      else phone.call.pending.push(payload.ice_candidate);
    } else if (type === "call.end" && phone.call && phone.call.id === payload.call_id) {
      phone.call.connection.close();
      phone.call = null;
    }
  },

  // What came in, and by which way.
  async stats() {
    const found = { frames: 0, packets: 0, local: "", remote: "", state: phone.call.connection.connectionState };
    const report = await phone.call.connection.getStats();
    report.forEach((one) => {
      if (one.type === "inbound-rtp" && one.kind === "video") found.frames = one.framesDecoded;
      if (one.type === "inbound-rtp" && one.kind === "audio") found.packets = one.packetsReceived;
      if (one.type === "transport" && one.selectedCandidatePairId) {
        const pair = report.get(one.selectedCandidatePairId);
        found.local = report.get(pair.localCandidateId).candidateType;
        found.remote = report.get(pair.remoteCandidateId).candidateType;
      }
    });
    return found;
  },

  // What a browser gets of TURN servers: types of candidates, and the codes of refusals.
  async gather(servers) {
    const connection = new RTCPeerConnection({ iceServers: servers, iceTransportPolicy: "relay" });
    const found = { candidates: [], errors: [] };
    connection.onicecandidateerror = (event) => found.errors.push(event.errorCode);
    connection.createDataChannel("x");
    await connection.setLocalDescription();
    await new Promise((resolve) => {
      connection.onicecandidate = (event) => {
        if (!event.candidate) resolve();
        else if (event.candidate.candidate) found.candidates.push(event.candidate.type);
      };
    });
    connection.close();
    return found;
  },
};
