/** The file that tells the command line which cluster it talks to, and how. */
import { readFileSync, rmSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { isGone } from './control-group.ts'
import { hostFolder } from './topology.ts'
import type { LabHostSpec, LabPlaces } from './topology.ts'
import { writeWhole } from './write-whole.ts'

export interface SteadContext {
  readonly name: string
  /** Tried in turn: any host serves the API. */
  readonly endpoints: readonly { readonly host: string; readonly unix: string }[]
  readonly token: string
}

export function contextFile(env: NodeJS.ProcessEnv): string {
  const settings = env['XDG_CONFIG_HOME'] ?? join(env['HOME'] ?? homedir(), '.config')
  return env['STEAD_CONTEXT'] ?? join(settings, 'stead', 'context.json')
}

export function agentSocket(places: LabPlaces, host: string): string {
  return join(hostFolder(places, host), 'agent.sock')
}

/** The newest lab becomes the current cluster. */
export function writeContext(
  env: NodeJS.ProcessEnv,
  places: LabPlaces,
  hosts: readonly LabHostSpec[],
  token: string,
): void {
  const endpoints = hosts.map((host) => ({ host: host.id, unix: agentSocket(places, host.id) }))
  const context: SteadContext = { name: places.lab, endpoints, token }
  writeWhole(contextFile(env), `${JSON.stringify(context, null, 2)}\n`)
}

/** Removes the context if it is this lab's; another cluster's stays. */
export function removeContext(env: NodeJS.ProcessEnv, places: LabPlaces): void {
  try {
    const context = JSON.parse(readFileSync(contextFile(env), 'utf8')) as SteadContext
    const own = context.endpoints.some((endpoint) => endpoint.unix.startsWith(`${places.folder}/`))
    if (own) rmSync(contextFile(env), { force: true })
  } catch (cause) {
    // Nothing to remove, or a file that is none of ours.
    if (!isGone(cause) && !(cause instanceof SyntaxError) && !(cause instanceof TypeError)) throw cause
  }
}
