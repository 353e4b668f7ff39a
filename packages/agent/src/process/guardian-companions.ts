/** The two processes that protect the others from this host: the deadman (C) and the guardian (Node). */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { HostId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import type { Clock } from '@stead/core/ports/clock.ts'
import type { Log } from '@stead/core/ports/log.ts'
import { heartbeatKeysOf, type AgentConfig } from '../config.ts'
import type { GuardianConfig } from '../guardian/guardian-config.ts'
import type { HeartbeatKeys } from '../guardian/heartbeat-keys.ts'
import { Companion } from './companion.ts'
import { readPidFile } from './detached.ts'

/** Of the lease's TTL: the killing itself takes a few hundred ms at most. */
const MARGIN_OF_TTL = 0.25

export interface GuardianCompanionsOptions {
  readonly config: AgentConfig
  readonly bootId: string
  readonly helper: string
  readonly etcdEndpoints: readonly string[]
  readonly clock: Clock
  readonly log: Log
  readonly onRestart: (name: string) => () => void
}

export interface GuardianCompanions {
  readonly deadman: Companion
  readonly guardian: Companion
  /** What a guardian has that is started from now on; the one that runs is told by its socket. */
  readonly writeKeys: (keys: HeartbeatKeys) => void
}

export function guardianCompanions({
  config,
  bootId,
  helper,
  etcdEndpoints,
  clock,
  log,
  onRestart,
}: GuardianCompanionsOptions): GuardianCompanions {
  const at = (name: string) => join(config.stateDir, name)
  const guardianConfig: GuardianConfig = {
    hostId: config.hostId as HostId,
    bootId,
    keys: heartbeatKeysOf(config),
    addresses: withoutUndefined(config.addresses),
    port: config.heartbeatPort,
    peers: config.members
      .filter((member) => member.hostId !== config.hostId)
      .map((member) => ({
        id: member.hostId as HostId,
        addresses: withoutUndefined(member.addresses),
        port: config.heartbeatPort,
      })),
    heartbeatIntervalMs: config.heartbeatIntervalMs,
    detectionMs: config.detectionMs,
    leaseTtlMs: config.leaseTtlMs,
    leaseKey: KEYS.liveness(config.hostId as HostId),
    stateDir: config.stateDir,
    etcdEndpoints,
    deadmanSocket: at('deadman.sock'),
    controlSocket: at('guardian.sock'),
    marginMs: Math.round(config.leaseTtlMs * MARGIN_OF_TTL),
  }
  const text = JSON.stringify(guardianConfig)
  const before = existsSync(at('guardian.json')) ? readFileSync(at('guardian.json'), 'utf8') : text
  const write = (content: string) => writeFileSync(at('guardian.json'), content, { mode: 0o600 })
  write(text)
  // Other members, most likely. The next one starts at once, well within the deadman's time.
  const stale = before === text ? undefined : readPidFile(at('guardian.process'))
  if (stale) process.kill(stale.pid, 'SIGKILL')
  const guardianMain = fileURLToPath(new URL('../guardian/guardian-main.ts', import.meta.url))
  return {
    writeKeys: (keys) => write(JSON.stringify({ ...guardianConfig, keys })),
    deadman: new Companion({
      name: 'deadman',
      helper,
      spec: () => ({
        command: join(config.nativeDir, 'stead-deadman'),
        args: ['--socket', at('deadman.sock'), '--pidfile', at('deadman.pid'), '--timeout', String(config.leaseTtlMs)],
        // The deadman's own pid file names its init too; this one is for adopting the process.
        pidFile: at('deadman.process'),
        stdoutPath: at('deadman.log'),
        stderrPath: at('deadman.log'),
      }),
      clock,
      log,
      onRestart: onRestart('the deadman'),
    }),
    guardian: new Companion({
      name: 'guardian',
      helper,
      spec: () => ({
        command: process.execPath,
        // A small young generation keeps the process near 50 MB.
        args: ['--max-semi-space-size=1', guardianMain, at('guardian.json')],
        pidFile: at('guardian.process'),
        stdoutPath: at('guardian.log'),
        stderrPath: at('guardian.log'),
        nice: -15,
      }),
      clock,
      log,
      onRestart: onRestart('the guardian'),
    }),
  }
}

function withoutUndefined(addresses: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(addresses).flatMap(([role, address]) => (address === undefined ? [] : [[role, address]])),
  )
}
