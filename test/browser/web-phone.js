/** A phone in a page: JsSIP, and what it noticed. A plain script, because these are the page's globals, not Node's. */

/* global JsSIP */

const phones = new Map();
const ANSWER = { mediaConstraints: { audio: true, video: false }, pcConfig: { iceServers: [] } };

function follow(phone, session) {
  const note = (event) => () => phone.events.push(event);
  phone.session = session;
  for (const event of ['progress', 'accepted', 'confirmed', 'ended']) session.on(event, note(event));
  session.on('failed', ({ cause }) => phone.events.push(`failed: ${cause}`));
  const watch = ({ peerconnection }) => {
    peerconnection.addEventListener('connectionstatechange', () => {
      phone.events.push(`media ${peerconnection.connectionState}`);
    });
  };
  if (session.connection) watch({ peerconnection: session.connection });
  else session.on('peerconnection', watch);
}

globalThis.webPhone = {
  /** Connects, and registers. */
  start(name, { url, uri, password }) {
    const phone = { events: [], session: null, agent: null };
    phones.set(name, phone);
    const agent = new JsSIP.UA({
      sockets: [new JsSIP.WebSocketInterface(url)],
      uri,
      password,
      session_timers: false,
      connection_recovery_min_interval: 2,
    });
    phone.agent = agent;
    agent.on('connected', () => phone.events.push('connected'));
    agent.on('disconnected', ({ code }) => phone.events.push(`disconnected ${code ?? ''}`));
    agent.on('registered', () => phone.events.push('registered'));
    agent.on('unregistered', () => phone.events.push('unregistered'));
    agent.on('registrationFailed', ({ cause }) => phone.events.push(`registrationFailed: ${cause}`));
    agent.on('newRTCSession', ({ originator, session }) => {
      follow(phone, session);
      phone.events.push(originator === 'remote' ? `call from ${session.remote_identity.uri.user}` : 'calling');
    });
    agent.on('newMessage', ({ originator, message }) => {
      if (originator === 'remote') phone.events.push(`message: ${message.request?.body ?? message._request.body}`);
    });
    agent.start();
  },

  call(name, target) {
    phones.get(name).agent.call(target, ANSWER);
  },

  sendMessage(name, target, text) {
    phones.get(name).agent.sendMessage(target, text);
  },

  answer(name) {
    phones.get(name).session.answer(ANSWER);
  },

  hangUp(name) {
    phones.get(name).session.terminate();
  },

  events(name) {
    return phones.get(name)?.events ?? [];
  },

  stop(name) {
    phones.get(name).agent.stop();
  },
};
