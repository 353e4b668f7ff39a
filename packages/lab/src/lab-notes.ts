/** What a lab remembers on disk besides the state of its hosts: `<labRoot>/<lab>/lab.json`. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { isGone } from './control-group.ts'
import type { LabSecrets } from './agent-config.ts'
import type { LabHostSpec, LabPlaces } from './topology.ts'
import { writeWhole } from './write-whole.ts'

export interface LabNotes extends LabSecrets {
  /** `starting` until every host has been booted once: a lab that still says so was interrupted. */
  readonly phase: 'starting' | 'up'
  readonly hosts: readonly LabHostSpec[]
  /** The hosts are set up by hand: their configurations are not the lab's. */
  readonly empty?: boolean
}

/** Notes that are missing or unreadable are no notes: names and control groups tell what exists. */
export function readNotes(places: LabPlaces): LabNotes | undefined {
  try {
    const notes = JSON.parse(readFileSync(notesFile(places), 'utf8')) as LabNotes
    return Array.isArray(notes.hosts) && notes.hosts.length > 0 ? notes : undefined
  } catch (cause) {
    if (isGone(cause) || cause instanceof SyntaxError) return undefined
    throw cause
  }
}

export function writeNotes(places: LabPlaces, notes: LabNotes): void {
  writeWhole(notesFile(places), `${JSON.stringify(notes, null, 2)}\n`)
}

const notesFile = (places: LabPlaces): string => join(places.folder, 'lab.json')
