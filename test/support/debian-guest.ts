/**
 * A real Debian 12 for system tests (`./dev image debian`): created from its image, told by cloud-init who may log in
 * and which address it has, and reached by SSH from the lab's client, as a user would. Under emulation it is up after a
 * minute or so: share one guest between the tests of a file.
 */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buildDebianImage } from '@stead/lab/debian-image.ts'
import type { CommandResult, LabCluster } from './lab-cluster.ts'

const USER = 'ada'
/** A minute on an idle machine; many times that where other tests take the processors. */
const BOOT_MS_MAX = 900_000

export interface DebianOptions {
  /** On the lab's LAN, of nobody else: `10.66.1.10`. */
  readonly address: string
  readonly host?: string
  readonly replicas?: number
  readonly memory?: string
  /** More arguments for `stead vm create`. */
  readonly more?: readonly string[]
}

/** The image's path (qcow2), built when it is not there yet: two to four minutes, once for all working copies. */
export async function debianImage(): Promise<string> {
  const image = await buildDebianImage()
  assert.ok(image.ok, image.ok ? '' : `${image.error.message} ${image.error.hint ?? ''}`)
  return image.value.path
}

export class DebianGuest {
  readonly lab: LabCluster
  readonly name: string
  readonly address: string
  readonly #key: string

  private constructor(lab: LabCluster, name: string, address: string, key: string) {
    this.lab = lab
    this.name = name
    this.address = address
    this.#key = key
  }

  /** Imports the image under the name `debian` unless it is there, creates and starts the guest. Does not wait for its boot. */
  static async create(lab: LabCluster, name: string, options: DebianOptions): Promise<DebianGuest> {
    const images = await lab.json<readonly { readonly name: string }[]>('image', 'list')
    if (!images.some((image) => image.name === 'debian'))
      await lab.must('image', 'import', 'debian', await debianImage())
    const folder = mkdtempSync(join(tmpdir(), 'stead-key-'))
    process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
    const key = join(folder, 'key')
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key])
    const { address, host, replicas = 2, memory = '320MiB', more = [] } = options
    await lab.must(
      ...['vm', 'create', name, '--memory', memory, '--image', 'debian', '--disk', '1280MiB'],
      ...[
        '--replicas',
        String(replicas),
        '--cloud-init-user',
        USER,
        '--ssh-key',
        `${key}.pub`,
        '--ip',
        `${address}/16`,
      ],
      ...(host === undefined ? [] : ['--host', host]),
      ...more,
      '--start',
    )
    return new DebianGuest(lab, name, address, key)
  }

  /** Runs a shell command in the guest as a user who may use `sudo`. */
  ssh(command: string): Promise<CommandResult> {
    return this.lab.run(
      ...['lab', 'client', '--', 'ssh', '-i', this.#key, '-o', 'BatchMode=yes', '-o', 'ConnectTimeout=30'],
      ...['-o', 'StrictHostKeyChecking=no', '-o', 'UserKnownHostsFile=/dev/null', '-o', 'LogLevel=ERROR'],
      ...[`${USER}@${this.address}`, command],
    )
  }

  /** `ssh`, when it is to succeed; what the command printed. */
  async must(command: string): Promise<string> {
    const result = await this.ssh(command)
    assert.equal(result.code, 0, `${this.name}: ${command} (${result.code}): ${result.stderr}${result.stdout}`)
    return result.stdout.trim()
  }

  /** Waits until cloud-init has done all its work and one can log in. */
  async booted(): Promise<void> {
    await this.lab.until(
      `${this.name} can be reached by SSH`,
      async () => (await this.ssh('true')).code === 0,
      BOOT_MS_MAX,
    )
    await this.lab.until(
      `cloud-init of ${this.name} is done`,
      async () => (await this.ssh('test -e /var/lib/cloud/instance/boot-finished')).code === 0,
      BOOT_MS_MAX,
    )
  }

  /** The private key that opens the guest; the public one beside it ends in `.pub`. */
  get keyFile(): string {
    return this.#key
  }

  /** The same guest once it has another address. */
  at(address: string): DebianGuest {
    return new DebianGuest(this.lab, this.name, address, this.#key)
  }
}
