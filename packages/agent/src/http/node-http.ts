/**
 * `node:http` without what comes along. An ESM import of it reads all its exports, among them `WebSocket`, whose getter
 * loads the whole of undici: measured, 14 MB of resident memory, in the agent and in the guardian alike.
 */
const http = process.getBuiltinModule('node:http')

export const { Agent, createServer, request } = http
