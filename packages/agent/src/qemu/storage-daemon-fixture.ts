/** A bare qemu-storage-daemon for tests of guests: without a pool, its volumes added by QMP. */
import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { must } from '@stead/sim/contract/guest-host-contract.ts'
import { QmpClient } from './qmp.ts'

const BOUND_MS = 20_000

export class BareStorageDaemon {
  readonly process: ChildProcess
  readonly monitor: QmpClient

  private constructor(process: ChildProcess, monitor: QmpClient) {
    this.process = process
    this.monitor = monitor
  }

  /** `address`: of its NBD server, as QEMU's options write it. Its files are `<name>.qmp` and `<name>.pid`. */
  static async start(folder: string, name: string, address: string): Promise<BareStorageDaemon> {
    const [control, ready] = [join(folder, `${name}.qmp`), join(folder, `${name}.pid`)]
    for (const stale of [control, ready]) rmSync(stale, { force: true })
    const monitor = ['--chardev', `socket,id=q,path=${control},server=on,wait=off`, '--monitor', 'q']
    const child = spawn('qemu-storage-daemon', [...monitor, '--nbd-server', address, '--pidfile', ready], {
      stdio: 'ignore',
    })
    // Whoever asks the monitor before this file is there may never be answered.
    const deadline = performance.now() + BOUND_MS
    while (!existsSync(ready)) {
      assert.ok(child.exitCode === null && performance.now() < deadline, 'the storage daemon does not start')
      await sleep(5)
    }
    return new BareStorageDaemon(child, must(await QmpClient.connect(control)))
  }

  async execute(command: string, args: object): Promise<void> {
    must(await this.monitor.execute(command, args))
  }

  async kill(): Promise<void> {
    const child = this.process
    if (child.exitCode === null && child.signalCode === null) {
      const gone = once(child, 'exit')
      child.kill('SIGKILL')
      await gone
    }
    this.monitor.close()
  }
}
