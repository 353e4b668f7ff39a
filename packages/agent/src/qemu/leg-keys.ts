/**
 * The keys of a guest's legs, as QEMU wants them: an object each, which reads a folder with `keys.psk` when it is made. The
 * folders stand in the guest's own, not in the part of it that QEMU may write to, and only for that moment.
 */
import { chownSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { failure } from '@stead/core/errors.ts'
import type { ExportKey } from '@stead/core/ports/volume-host.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { keyObject, type DiskRecord, type OpenLeg } from './block-graph.ts'
import type { Monitor } from './mirror-surgery.ts'

/** As of a migration, GnuTLS would prefer ChaCha20 for a pre-shared key: three times the processor time. */
const CIPHERS = 'NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-GCM'

interface KeyedNode {
  readonly node: string
  readonly key: ExportKey
}

export class LegKeys {
  readonly #path: string
  readonly #user: { readonly uid: number; readonly gid: number } | undefined

  /** `user`: whom QEMU runs as. */
  constructor(path: string, user?: { readonly uid: number; readonly gid: number }) {
    this.#path = path
    this.#user = user
  }

  /** Arguments for a QEMU that is about to be started with these disks. To be followed by `remove` once it runs. */
  argumentsFor(disks: readonly DiskRecord[]): Result<readonly string[]> {
    const nodes = disks.flatMap(({ legs }) => keyedNodes(legs))
    const written = this.#write(nodes)
    return written.ok ? ok(nodes.flatMap((keyed) => ['-object', JSON.stringify(this.#object(keyed))])) : written
  }

  remove(): void {
    rmSync(this.#path, { recursive: true, force: true })
  }

  /** Opens nodes in a QEMU that runs, with the keys of the legs that are among them. */
  async whileThere(
    monitor: Monitor,
    legs: readonly OpenLeg[],
    open: () => Promise<Result<void>>,
  ): Promise<Result<void>> {
    const nodes = keyedNodes(legs)
    if (nodes.length === 0) return open()
    const written = this.#write(nodes)
    if (!written.ok) return written
    try {
      for (const keyed of nodes) {
        // One of a try that was broken off; none is fine.
        await monitor.execute('object-del', { id: keyObject(keyed.node) })
        const added = await monitor.execute('object-add', this.#object(keyed))
        if (!added.ok) return added
      }
      return await open()
    } finally {
      this.#removeOf(nodes)
      // A node that is open holds its own.
      for (const { node } of nodes) await monitor.execute('object-del', { id: keyObject(node) })
    }
  }

  #object({ node, key }: KeyedNode) {
    return {
      'qom-type': 'tls-creds-psk',
      id: keyObject(node),
      dir: join(this.#path, node),
      endpoint: 'client',
      username: key.identity,
      priority: CIPHERS,
    }
  }

  /** Not those of others: legs of two disks may be opened at a time. */
  #removeOf(nodes: readonly KeyedNode[]): void {
    for (const { node } of nodes) rmSync(join(this.#path, node), { recursive: true, force: true })
  }

  #write(nodes: readonly KeyedNode[]): Result<void> {
    if (nodes.length === 0) return ok()
    try {
      this.#removeOf(nodes)
      // Others may pass through it, and list nothing.
      mkdirSync(this.#path, { recursive: true, mode: 0o711 })
      for (const { node, key } of nodes) {
        const folder = join(this.#path, node)
        const file = join(folder, 'keys.psk')
        mkdirSync(folder, { mode: 0o700 })
        writeFileSync(file, `${key.identity}:${key.secret}\n`, { mode: 0o600 })
        if (this.#user) for (const path of [file, folder]) chownSync(path, this.#user.uid, this.#user.gid)
      }
      return ok()
    } catch (cause) {
      this.#removeOf(nodes)
      const hint = 'Is the disk of the state folder full?'
      return fail(failure('internal', `Cannot write the keys of disks to ${this.#path}`, { cause, hint }))
    }
  }
}

function keyedNodes(legs: readonly OpenLeg[]): readonly KeyedNode[] {
  return legs.flatMap(({ node, leg: { endpoint } }) => {
    const key = endpoint.kind === 'tcp' ? endpoint.key : undefined
    return key ? [{ node, key }] : []
  })
}
