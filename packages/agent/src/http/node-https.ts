/** `node:https` in the way of `node-http.ts`, and for the same reason. */
const https = process.getBuiltinModule('node:https')

export const { Agent, createServer, request } = https
