/** What of a lab exists on this machine, found by its name alone. */
import { existsSync, readFileSync } from 'node:fs'
import { ok } from '@stead/core/result.ts'
import type { Result } from '@stead/core/result.ts'
import { cgroupFolder, cgroupRoot, processesOf } from './control-group.ts'
import { controllers } from './controllers.ts'
import { namespacesOf } from './namespaces.ts'
import { runCommand } from './run-command.ts'
import { labPlaces, namespaceName } from './topology.ts'

/** One line for each process, namespace, mount, loop device and control group of the lab; its state folder too. */
export async function leftovers(lab: string, env: NodeJS.ProcessEnv = process.env): Promise<string[]> {
  const places = labPlaces(env, lab)
  if (!places.ok) throw new Error(places.error.message)
  const found: string[] = []
  const root = cgroupRoot()
  if (root.ok) {
    const folder = cgroupFolder(root.value, lab)
    for (const pid of processesOf(folder)) found.push(`process ${pid}`)
    if (existsSync(folder)) found.push(`control group ${folder}`)
  }
  for (const { folder } of controllers(lab)) if (existsSync(folder)) found.push(`control group ${folder}`)
  for (const name of namespacesOf(lab)) found.push(`network namespace ${namespaceName(lab, name)}`)
  for (const place of mountsUnder(places.value.folder)) found.push(`mount ${place}`)
  const loops = await loopDevicesUnder(places.value.folder)
  if (loops.ok) for (const device of loops.value) found.push(`loop device ${device}`)
  if (existsSync(places.value.folder)) found.push(`folder ${places.value.folder}`)
  return found
}

/** Deepest first, so that they can be unmounted in this order. */
export function mountsUnder(folder: string): string[] {
  const places = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
  return places.filter((place) => place === folder || place.startsWith(`${folder}/`)).toReversed()
}

export async function loopDevicesUnder(folder: string): Promise<Result<string[]>> {
  const listed = await runCommand('losetup', ['--list', '--noheadings', '--output', 'NAME,BACK-FILE'])
  if (!listed.ok) return listed
  const rows = listed.value.split('\n').map((line) => line.trim().split(/\s+/))
  return ok(rows.filter(([, file]) => file?.startsWith(`${folder}/`)).map(([device = '']) => device))
}
