// The Node runtime: loads a function's handler and answers invocations over frames.
// Boots before it is known whose code it will run, and waits. See frames.py for the protocol.
'use strict';

const fs = require('fs');
const net = require('net');
const path = require('path');
const util = require('util');
const { pathToFileURL } = require('url');
const { PassThrough } = require('stream');

const RUNTIME_FD = 3;
const RELEASE_FD = 4;
const [INVOKE, RESULT, ERROR, INIT_ERROR, ASSIGN, READY, TOO_LARGE, FATAL] = [1, 2, 3, 4, 5, 6, 7, 9];
const RESPONSE_BYTES_MAX = 6 * 1024 * 1024 + 100;
const STREAMING = Symbol.for('aws.lambda.runtime.handler.streaming');

// ------------------------------------------------------------------------------------- frames

const socket = new net.Socket({ fd: RUNTIME_FD, readable: true, writable: true });
let received = Buffer.alloc(0);

function send(kind, head, body, done) {
  const frame = Buffer.allocUnsafe(5);
  frame.writeUInt32LE(head.length + body.length, 0);
  frame[4] = kind;
  socket.write(Buffer.concat([frame, head, body]), done);
}

function memoryHead(rest) {
  return Buffer.from(`${process.resourceUsage().maxRSS}${rest}\n`);
}

socket.on('data', (data) => {
  received = received.length ? Buffer.concat([received, data]) : data;
  while (received.length >= 5) {
    const end = 5 + received.readUInt32LE(0);
    if (received.length < end) return;
    const kind = received[4];
    const payload = received.subarray(5, end);
    received = received.subarray(end);
    if (kind === ASSIGN) start(JSON.parse(payload));
    if (kind === INVOKE) serve(payload);
  }
});
socket.on('end', () => reallyExit(0));
socket.on('error', () => reallyExit(0));
const reallyExit = process.reallyExit.bind(process);

// ------------------------------------------------------------------------------------- errors

class RuntimeError extends Error {
  constructor(name, reason) {
    super(reason);
    this.name = name;
    // The stack was written when the name was still Error.
    if (typeof this.stack === 'string') this.stack = this.stack.replace(/^Error/, name);
  }
}

function isError(value) {
  return util.types.isNativeError(value)
    || (value && value.name !== undefined && value.message !== undefined && value.stack !== undefined);
}

function payloadOf(error) {
  if (isError(error)) {
    return {
      errorType: String(error.name),
      errorMessage: String(error.message),
      trace: String(error.stack).split('\n'),
    };
  }
  return { errorType: typeof error, errorMessage: String(error), trace: [] };
}

// For the log: the fields of an error that JSON would leave out.
function describable(error) {
  if (!isError(error)) return error;
  const found = {
    errorType: error.name,
    errorMessage: error.message,
    ...Object.fromEntries(Object.entries(error).filter(([key]) => key !== 'name')),
    stack: typeof error.stack === 'string' ? error.stack.split('\n') : error.stack,
  };
  if (error.cause !== undefined && !('cause' in Object.keys(error))) {
    found.cause = describable(error.cause);
  }
  return found;
}

function logError(what, error) {
  let text;
  try {
    text = JSON.stringify(describable(error), (_, value) => describable(value));
  } catch {
    text = JSON.stringify(payloadOf(error));
  }
  if (jsonLogs) console.error(error);
  else console.error(what, `\t${text}`);
}

// ------------------------------------------------------------------------------------- logging

const LEVELS = { TRACE: 1, DEBUG: 2, INFO: 3, WARN: 4, ERROR: 5, FATAL: 6 };
let currentRequestId;
let jsonLogs = false;
let leastLevel = LEVELS.TRACE;

// A framed event may have many lines; it goes out in one write, in order with plain output.
function writeEvent(text, level) {
  const message = Buffer.from(text);
  const frame = Buffer.allocUnsafe(16 + message.length);
  frame.writeUInt32BE((0xa55a0000 | ((LEVELS[level] << 2) + (jsonLogs ? 2 : 3))) >>> 0, 0);
  frame.writeUInt32BE(message.length, 4);
  frame.writeBigUInt64BE(BigInt(Date.now()) * 1000n, 8);
  message.copy(frame, 16);
  let at = 0;
  while (at < frame.length) {
    try {
      at += fs.writeSync(1, frame, at);
    } catch (error) {
      if (error.code !== 'EAGAIN') return;
    }
  }
}

function jsonLine(level, args) {
  const line = { timestamp: new Date().toISOString(), level, requestId: currentRequestId };
  if (args.length === 1 && typeof args[0] === 'object' && args[0] !== null && !isError(args[0])) {
    try {
      return JSON.stringify({ ...line, message: args[0] });
    } catch {
      return JSON.stringify({ ...line, message: util.format(...args) });
    }
  }
  line.message = util.format(...args);
  const error = args.find(isError);
  if (error) {
    if (args.length === 1) {
      line.message = describable(error);
      return JSON.stringify(line, (_, value) => describable(value));
    }
    line.errorType = error.name;
    line.errorMessage = error.message;
    line.stackTrace = String(error.stack).split('\n');
  }
  return JSON.stringify(line);
}

function patchConsole() {
  jsonLogs = (process.env.AWS_LAMBDA_LOG_FORMAT || '').toUpperCase() === 'JSON';
  const wanted = (process.env.AWS_LAMBDA_LOG_LEVEL || '').toUpperCase();
  leastLevel = (jsonLogs && LEVELS[wanted]) || LEVELS.TRACE;
  const log = (level) => (...args) => {
    if (LEVELS[level] < leastLevel) return;
    if (jsonLogs) {
      writeEvent(jsonLine(level, args), level);
      return;
    }
    const text = util.format(...args);
    writeEvent(`${new Date().toISOString()}\t${currentRequestId}\t${level}\t${text}`, level);
  };
  console.log = log('INFO');
  console.debug = log('DEBUG');
  console.info = log('INFO');
  console.warn = log('WARN');
  console.error = log('ERROR');
  console.trace = (...args) => {
    if (LEVELS.TRACE < leastLevel) return;
    const here = { name: 'Trace', message: util.format(...args) };
    Error.captureStackTrace(here, console.trace);
    log('TRACE')(here.stack.replace(/^Error/, 'Trace'));
  };
  console.fatal = log('FATAL');
}

// ------------------------------------------------------------------------------------- the handler

async function loadModule(root, folder, name) {
  const file = path.resolve(root, folder, name);
  const packageOf = () => {
    for (let at = path.dirname(file); ; at = path.dirname(at)) {
      try {
        return JSON.parse(fs.readFileSync(path.join(at, 'package.json'), 'utf8'));
      } catch (error) {
        if (error.code !== 'ENOENT' && error.code !== 'ENOTDIR') return {};
      }
      if (at === path.dirname(at)) return {};
    }
  };
  if (fs.existsSync(file) && fs.statSync(file).isFile()) return require(file);
  if (fs.existsSync(`${file}.js`)) {
    const url = pathToFileURL(`${file}.js`).href;
    return packageOf().type === 'module' ? import(url) : require(`${file}.js`);
  }
  if (fs.existsSync(`${file}.mjs`)) return import(pathToFileURL(`${file}.mjs`).href);
  if (fs.existsSync(`${file}.cjs`)) return require(`${file}.cjs`);
  return require(require.resolve(name, { paths: [root, path.join(root, folder)] }));
}

async function loadHandler(root, handler) {
  if (handler.includes('..')) {
    const reason = `'${handler}' is not a valid handler name. Use absolute paths when specifying root directories in handler names.`;
    throw new RuntimeError('Runtime.MalformedHandlerName', reason);
  }
  const base = path.basename(handler);
  const folder = handler.substring(0, handler.indexOf(base));
  const match = base.match(/^([^.]*)\.(.*)$/);
  if (!match) throw new RuntimeError('Runtime.MalformedHandlerName', 'Bad handler');
  let module_;
  try {
    module_ = await loadModule(root, folder, match[1]);
  } catch (error) {
    if (error instanceof SyntaxError) throw new RuntimeError('Runtime.UserCodeSyntaxError', error);
    if (error && (error.code === 'MODULE_NOT_FOUND' || error.code === 'ERR_MODULE_NOT_FOUND')) {
      throw new RuntimeError('Runtime.ImportModuleError', error);
    }
    throw error;
  }
  const find = (from) => match[2].split('.').reduce((at, name) => at && at[name], from);
  const found = find(module_) || (module_ && module_.default && find(module_.default));
  if (!found) {
    const reason = `${handler} is undefined or not exported`;
    throw new RuntimeError('Runtime.HandlerNotFound', reason);
  }
  if (typeof found !== 'function') {
    throw new RuntimeError('Runtime.HandlerNotFound', `${handler} is not a function`);
  }
  const callbacksGone = /AWS_Lambda_nodejs(\d+)\.x/.exec(process.env.AWS_EXECUTION_ENV || '');
  if (callbacksGone && +callbacksGone[1] >= 24 && found.length >= 3 && !found[STREAMING]) {
    throw new RuntimeError(
      'Runtime.CallbackHandlerDeprecated',
      'AWS Lambda has removed support for callback-based function handlers starting with Node.js 24. '
      + 'You need to modify this function to use a supported handler signature to use Node.js 24 or later. '
      + 'For more information see https://docs.aws.amazon.com/lambda/latest/dg/nodejs-handler.html.');
  }
  return found;
}

let handler = null;

async function start(assignment) {
  if (assignment.environment) { // a fresh program has it already
    for (const name of Object.keys(process.env)) delete process.env[name];
    Object.assign(process.env, assignment.environment);
  }
  // Process 1 mounts the code meanwhile; one byte says that it is done.
  if (fs.readSync(RELEASE_FD, Buffer.alloc(1)) === 0) reallyExit(0);
  fs.closeSync(RELEASE_FD);
  process.chdir(assignment.task);
  process.argv.length = 1;
  process.argv.push('/var/runtime/index.mjs');
  patchConsole();
  process.on('uncaughtException', (error) => endWith('Uncaught Exception', error, 129));
  process.on('unhandledRejection', (reason, promise) => {
    const error = new RuntimeError('Runtime.UnhandledPromiseRejection', reason);
    error.reason = reason;
    error.promise = promise;
    endWith('Unhandled Promise Rejection', error, 128);
  });
  process.on('beforeExit', onNothingLeft);
  try {
    handler = await loadHandler(assignment.task, assignment.handler);
  } catch (error) {
    logError('Uncaught Exception', error);
    const body = Buffer.from(JSON.stringify(payloadOf(error)));
    send(INIT_ERROR, memoryHead(''), body, () => reallyExit(1));
    return;
  }
  send(READY, Buffer.alloc(0), Buffer.alloc(0));
}

// ------------------------------------------------------------------------------------- invocations

let current = null; // the invocation that has not been answered yet

function answer(invocation, value) {
  if (current !== invocation) return;
  let body;
  try {
    body = Buffer.from(JSON.stringify(value === undefined ? null : value) ?? 'null');
  } catch (error) {
    const reason = 'Unable to stringify response body as json';
    refuse(invocation, new RuntimeError('Runtime.MarshalError', reason));
    return;
  }
  answerBytes(invocation, body, 'application/json');
}

function answerBytes(invocation, body, contentType) {
  if (current !== invocation) return;
  finish();
  if (body.length > RESPONSE_BYTES_MAX) {
    send(TOO_LARGE, memoryHead(''), Buffer.from(String(body.length)));
  } else {
    send(RESULT, memoryHead(` ${contentType}`), body);
  }
}

function refuse(invocation, error) {
  if (current !== invocation) return;
  logError('Invoke Error', error);
  finish();
  send(ERROR, memoryHead(''), Buffer.from(JSON.stringify(payloadOf(error))));
}

function finish() {
  current = null;
  socket.ref();
}

// Without anything that could still call back, the invocation is over.
function onNothingLeft() {
  const invocation = current;
  if (!invocation) return;
  const pending = invocation.pending;
  socket.ref();
  if (pending) pending();
  else answer(invocation, null);
}

function endWith(what, error, status) {
  logError(what, error);
  const body = Buffer.from(JSON.stringify(payloadOf(error)));
  const kind = handler ? FATAL : INIT_ERROR;
  if (handler && !current) reallyExit(status);
  send(kind, memoryHead(''), body, () => reallyExit(status));
}

function makeContext(header, invocation) {
  const environment = process.env;
  const settle = (error, value) => {
    const act = () => (error === null || error === undefined
      ? answer(invocation, value) : refuse(invocation, error));
    if (!invocation.waits) setImmediate(act);
    else if (!invocation.pending) invocation.pending = act;
  };
  const context = {
    functionVersion: environment.AWS_LAMBDA_FUNCTION_VERSION,
    functionName: environment.AWS_LAMBDA_FUNCTION_NAME,
    memoryLimitInMB: environment.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: environment.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: environment.AWS_LAMBDA_LOG_STREAM_NAME,
    clientContext: header.client ? JSON.parse(header.client) : undefined,
    identity: header.identity ? JSON.parse(header.identity) : undefined,
    invokedFunctionArn: header.arn,
    awsRequestId: header.id,
    tenantId: header.tenant,
    getRemainingTimeInMillis: () => header.deadline - Date.now(),
    done: (error, value) => settle(error, value),
    fail: (error) => settle(error === null || error === undefined ? 'handled' : error),
    succeed: (value) => settle(null, value),
  };
  Object.defineProperty(context, 'callbackWaitsForEmptyEventLoop', {
    enumerable: true,
    get: () => invocation.waits,
    set: (value) => { invocation.waits = Boolean(value); },
  });
  return [context, settle];
}

function serve(payload) {
  const newline = payload.indexOf(10);
  const header = JSON.parse(payload.toString('utf8', 0, newline));
  const invocation = { waits: true, pending: null };
  current = invocation;
  currentRequestId = header.id;
  if (header.trace) process.env._X_AMZN_TRACE_ID = header.trace;
  else delete process.env._X_AMZN_TRACE_ID;
  let event;
  let context;
  let settle;
  try {
    event = JSON.parse(payload.toString('utf8', newline + 1));
    [context, settle] = makeContext(header, invocation);
  } catch (error) {
    refuse(invocation, error);
    return;
  }
  if (handler[STREAMING]) {
    serveStreaming(invocation, event, context);
    return;
  }
  socket.unref(); // so that Node notices when nothing is left to wait for
  try {
    const result = handler(event, context, settle);
    if (result && typeof result.then === 'function') {
      result.then((value) => answer(invocation, value), (error) => refuse(invocation, error));
    }
  } catch (error) {
    refuse(invocation, error);
  }
}

// A streaming handler, invoked without streaming: the whole stream is the answer.
function serveStreaming(invocation, event, context) {
  const stream = new PassThrough();
  const chunks = [];
  let contentType = 'application/octet-stream';
  stream.setContentType = (type) => { contentType = type; };
  stream.on('data', (chunk) => chunks.push(Buffer.from(chunk)));
  stream.on('end', () => answerBytes(invocation, Buffer.concat(chunks), contentType));
  stream.on('error', (error) => refuse(invocation, error));
  Promise.resolve()
    .then(() => handler(event, stream, context))
    .catch((error) => refuse(invocation, error));
}

globalThis.awslambda = {
  streamifyResponse(wrapped, options) {
    wrapped[STREAMING] = 'response';
    if (options && typeof options.highWaterMark === 'number') wrapped.highWaterMark = options.highWaterMark;
    return wrapped;
  },
  HttpResponseStream: {
    from(stream, prelude) {
      stream.setContentType('application/vnd.awslambda.http-integration-response');
      stream.write(JSON.stringify(prelude));
      stream.write(Buffer.alloc(8));
      return stream;
    },
  },
};
