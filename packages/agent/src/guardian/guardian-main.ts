/**
 * The guardian's process: `node guardian-main.ts CONFIG.json`. Ends with 0 on SIGTERM, leaving the deadman armed.
 */
import { readFileSync } from 'node:fs'
import { flushCompileCache } from 'node:module'
import { DeadmanClient } from './deadman-client.ts'
import { parseGuardianConfig } from './guardian-config.ts'
import { Guardian } from './guardian.ts'
import { LeaseGateway } from './lease-gateway.ts'
import { lineLog } from './line-log.ts'
import { becomeRealTime } from './real-time.ts'
import { readMaterial } from '../trust/trust-files.ts'
import { realClock } from '../real-clock.ts'

/** Of a lease's TTL. A renewal counts from when it was sent: an answer that takes longer is worth too little. */
const STORE_PATIENCE = 0.5
const STORE_CALL_TIMEOUT_MS_MAX = 600

async function main(path: string | undefined): Promise<void> {
  if (path === undefined) throw new Error('usage: guardian-main.ts CONFIG.json')
  const parsed = parseGuardianConfig(readFileSync(path, 'utf8'))
  if (!parsed.ok) throw new Error(parsed.error.message, { cause: parsed.error.cause })
  const config = parsed.value
  const log = lineLog((line) => process.stderr.write(line), { guardian: config.hostId })
  const clock = realClock

  const totalTimeoutMs = config.leaseTtlMs * STORE_PATIENCE
  const callTimeoutMs = Math.min(STORE_CALL_TIMEOUT_MS_MAX, totalTimeoutMs / 2)
  const store = new LeaseGateway({
    endpoints: config.etcdEndpoints,
    material: () => readMaterial(config.stateDir),
    ...{ callTimeoutMs, totalTimeoutMs, clock, log },
  })
  const deadman = new DeadmanClient(config.deadmanSocket, clock, log)
  const guardian = await Guardian.start(config, { store, clock, log, deadman })
  // The next start then needs no type stripping: its compiler would stay in memory, 35 MB.
  flushCompileCache()
  log.info('started', { pid: process.pid, peers: config.peers.map((peer) => peer.id) })

  const end = () => {
    log.info('ending; the deadman stays armed')
    // A hung store must not keep this process: its work is over once the sockets are closed.
    setTimeout(() => process.exit(0), 1000).unref()
    void guardian.close().then(
      () => process.exit(0),
      (error: unknown) => {
        log.error('did not end in order', { error: String(error) })
        process.exit(1)
      },
    )
  }
  process.once('SIGTERM', end)
  process.once('SIGINT', end)
  await becomeRealTime(log)
}

await main(process.argv[2])
