/** `<folder>/launch.json`: what of a container was started, as it is now. */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import type { VolumeId } from '@stead/core/model/ids.ts'
import type { GuestLaunch } from '@stead/core/ports/guest-host.ts'
import { ok, type Result } from '@stead/core/result.ts'
import { readRecordFile, writeRecordFile } from '../process/record-file.ts'

interface Content {
  readonly version: 1
  readonly launch: GuestLaunch
  /** Disks that have grown, and whose file systems have not yet. */
  readonly smaller?: readonly VolumeId[]
  /** Disks that are being given back: they may be gone already. */
  readonly leaving?: readonly VolumeId[]
}

export class RunRecord {
  readonly #file: string
  #content: Content

  private constructor(file: string, content: Content) {
    this.#file = file
    this.#content = content
  }

  static begin(folder: string, launch: GuestLaunch): Result<RunRecord> {
    const record = new RunRecord(fileIn(folder), { version: 1, launch })
    const written = record.change({})
    return written.ok ? ok(record) : written
  }

  static read(folder: string): Result<RunRecord | undefined> {
    const read = readRecordFile<Content>(fileIn(folder), ({ version, launch }) =>
      Boolean(version === 1 && launch?.guest),
    )
    if (!read.ok) return read
    return ok(read.value && new RunRecord(fileIn(folder), read.value))
  }

  get launch(): GuestLaunch {
    return this.#content.launch
  }

  get smaller(): readonly VolumeId[] {
    return this.#content.smaller ?? []
  }

  get leaving(): readonly VolumeId[] {
    return this.#content.leaving ?? []
  }

  /** In memory too where it cannot be written: what is so is so. */
  change(change: Partial<Omit<Content, 'version'>>): Result<void> {
    this.#content = { ...this.#content, ...change }
    return writeRecordFile(this.#file, this.#content)
  }

  forget(): void {
    rmSync(this.#file, { force: true })
  }
}

export function forgetRecord(folder: string): void {
  rmSync(fileIn(folder), { force: true })
}

const fileIn = (folder: string): string => join(folder, 'launch.json')
