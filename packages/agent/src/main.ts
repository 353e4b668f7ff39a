/** The agent: `node main.ts AGENT.json`. Joins the real ports to what core does with them. */
import { chmodSync, mkdirSync, readFileSync } from 'node:fs'
import { flushCompileCache } from 'node:module'
import { dirname, join } from 'node:path'
import { recordDecoder } from '@stead/api/records.ts'
import { hostVerdicts } from '@stead/core/ha/detection.ts'
import { clusterPolicyOf } from '@stead/core/ha/planning-problem.ts'
import { Arrivals } from '@stead/core/host/arrivals.ts'
import { subjectProject } from '@stead/core/access/object-path.ts'
import { ClusterMirror } from '@stead/core/host/cluster-mirror.ts'
import { EventWriter } from '@stead/core/host/event-writer.ts'
import { runHostAgent } from '@stead/core/host/host-agent.ts'
import type { HostContext } from '@stead/core/host/host-context.ts'
import type { GuestId, HostId } from '@stead/core/model/ids.ts'
import { ok } from '@stead/core/result.ts'
import { accessControl } from './access/access-control.ts'
import { mayUseConsole } from './access/console-permission.ts'
import { hostAudit } from './audit/host-audit.ts'
import { createApiBackend } from './backend/api-backend.ts'
import { confirmDead } from './backend/confirm-dead.ts'
import { askCounters, counterCalls } from './backend/counter-endpoints.ts'
import { askGuestAgent, guestAgentCalls } from './backend/guest-agent-endpoints.ts'
import { askMemoryUse, memoryUseCalls } from './backend/guest-memory.ts'
import { openConsole } from './backend/guest-console.ts'
import { BlobStore } from './blobs/blob-store.ts'
import { keepBlobsTidy } from './blobs/blob-sweeper.ts'
import { loadConfig, untilConfigured } from './config.ts'
import { hostGuests } from './guests.ts'
import { hostStorage } from './host-storage.ts'
import { CarriedLogs } from './console/carried-log.ts'
import { readConsole } from './console-log.ts'
import { EtcdMemberHost } from './etcd/etcd-member.ts'
import { ownStoreMember } from './etcd/own-member.ts'
import { watchMembership } from './etcd/membership-watch.ts'
import { SysfsHostDevices } from './devices/sysfs-host-devices.ts'
import { GuardianFence } from './guardian/guardian-fence.ts'
import { HostContainers } from './container/host-containers.ts'
import { diskCopies } from './disk-copies.ts'
import { imageImports } from './image-imports.ts'
import { CertificateKeeper } from './certificate/certificate-keeper.ts'
import { ClusterDecisions, decisionCalls } from './cluster-decisions.ts'
import { DecisionHistory } from './decision-history.ts'
import { History } from './history.ts'
import { HostAdmission } from './membership/host-admission.ts'
import { ownTrusts } from './membership/follow-authority.ts'
import { leavingCalls, tellLeftBehind } from './membership/left-behind.ts'
import { LoneHost } from './membership/lone-host.ts'
import { membershipWork, signingCalls } from './membership/membership-work.ts'
import { AuthorityReplacement } from './membership/replace-authority.ts'
import { keepHouse } from './housekeeping.ts'
import { startApiServer, type ApiServerOptions } from './http/api-server.ts'
import { webFiles } from './http/web-files.ts'
import { startInternalServer } from './http/internal-server.ts'
import { publicApiWork } from './http/public-api.ts'
import { webAuthority } from './http/web-certificate.ts'
import { arrivalCalls, remoteArrivals } from './http/remote-arrivals.ts'
import { imagesOfAllHosts, memoryImageService } from './http/remote-memory-images.ts'
import { jsonLog } from './json-log.ts'
import { measuring } from './metrics/measuring.ts'
import { keepMetering } from './metering/meter.ts'
import { UsageLog } from './metering/usage-log.ts'
import { keepWebhooksTold } from './webhooks/webhook-courier.ts'
import { ownNetwork } from './network/bond-maker.ts'
import { ownBonds, remakeBonds, watchBonds } from './network/kept-bonds.ts'
import { watchedNetworkHost } from './network/isolation-watch.ts'
import { ConsoleRouter } from './console/console-router.ts'
import { ConsoleTickets } from './console/console-tickets.ts'
import { Peers } from './peers.ts'
import { PowerStrip } from './power/power-strip.ts'
import { lagBytes } from './replica-lag.ts'
import { HostGuestProbe } from './probe/host-guest-probe.ts'
import { Companion } from './process/companion.ts'
import { forgetOwnAllocator } from './process/kept-buffers.ts'
import { startProgramsBy } from './process/run-program.ts'
import { guardianCompanions } from './process/guardian-companions.ts'
import { detectAccelerator, detectQemuVersion, processorFor } from './qemu/accelerator.ts'
import { newestMachineType } from './qemu/machine-type.ts'
import { checkKernel } from './qemu/blob-check.ts'
import { QemuGuestMemory } from './qemu/qemu-guest-memory.ts'
import { tellServiceManager } from './process/service-manager.ts'
import { realClock, realRandom } from './real-clock.ts'
import { keepRegistered, register, type Registration } from './registration.ts'
import { keepStorageDaemons } from './storage/daemon-keeper.ts'
import { LegProbe } from './storage/leg-probe.ts'
import { EtcdStore } from './store/etcd-store.ts'
import { HostCredentials } from './trust/host-credentials.ts'
import { hostVault } from './vault/host-vault.ts'

/** A change of etcd's leader is seen as calls that hang: giving up on them early is what makes a failover quick. */
const STORE_CALL_TIMEOUT_MS = 400
const DEADMAN_WAIT_MS = 5_000

async function main(configPath: string | undefined): Promise<void> {
  if (configPath === undefined) throw new Error('usage: main.ts AGENT.json')
  forgetOwnAllocator()
  const bootId = process.env['STEAD_BOOT_ID'] ?? readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
  // Set where a lab boots its hosts.
  const powerStrip = process.env['STEAD_POWER_STRIP']
  const clock = realClock
  const unnamedLog = jsonLog(process.env['STEAD_LOG'] === 'debug' ? 'debug' : 'info', (line) =>
    process.stdout.write(line),
  )
  const stopping = new AbortController()
  const { signal } = stopping
  const end = () => stopping.abort()
  for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, end)
  tellServiceManager(process.env, clock, unnamedLog, signal)
  await untilConfigured(configPath, unnamedLog, clock, signal)
  if (signal.aborted) return
  const config = loadConfig(configPath)
  const self = config.hostId as HostId
  const log = unnamedLog.with({ host: self })
  // The guests' unprivileged user must reach its own files below these, and list nothing on the way.
  for (const folder of [
    join(config.stateDir, 'guests'),
    join(config.stateDir, 'containers'),
    ...config.pools.map((pool) => dirname(pool.path)),
  ]) {
    mkdirSync(folder, { recursive: true })
    chmodSync(folder, 0o711)
  }

  startProgramsBy(join(config.nativeDir, 'stead-runner'))
  await remakeBonds(config.bonds ?? [], ownNetwork, clock, log)
  const helper = join(config.nativeDir, 'stead-run-guest')
  const credentials = HostCredentials.load(config.stateDir)
  const member = new EtcdMemberHost(config, credentials, clock, log)
  const etcdStore = new EtcdStore({
    ...{ endpoints: member.endpoints(), callTimeoutMs: STORE_CALL_TIMEOUT_MS },
    ...{ credentials, clock, log },
  })
  const mirror = new ClusterMirror(recordDecoder, log)
  const peers = new Peers(self, mirror, credentials)
  const { vault, store, keeper, shareCalls } = hostVault({ config, store: etcdStore, mirror, peers, clock, log })
  const projectOf = (subject: string) => subjectProject(mirror.state, subject)
  const events = new EventWriter({ store, clock, host: self, bootId, log, projectOf })
  const restarted = (name: string) => () => {
    // The deadman ends by itself only where nothing else keeps the guests from running twice.
    if (name === 'the deadman' && fence.view()?.isolated)
      events.tell({
        kind: 'host.fenced-itself',
        subject: `host/${self}`,
        message: `${self} was cut off and ended its guests`,
      })
    events.tell({
      kind: 'daemon.restarted',
      subject: `host/${self}`,
      message: `${name} on ${self} ended and is started again`,
      details: { daemon: name },
    })
  }
  const etcd = new Companion({
    name: 'etcd',
    helper,
    spec: () => member.spec(),
    clock,
    log,
    onRestart: restarted('etcd'),
  })
  const { deadman, guardian, writeKeys } = guardianCompanions({
    ...{ config, bootId, helper, clock, log },
    etcdEndpoints: member.endpoints(),
    onRestart: restarted,
  })
  const work: Promise<unknown>[] = [deadman.keep(signal), guardian.keep(signal)]
  if (member.isMember) work.push(etcd.keep(signal))

  const fence = new GuardianFence({
    controlSocket: join(config.stateDir, 'guardian.sock'),
    deadmanPidFile: join(config.stateDir, 'deadman.pid'),
    // While it is gone nobody hears this host: of the detection time most is left for its start.
    onLost: () => guardian.look(),
    clock,
    log,
  })
  const history = new History(join(config.stateDir, 'history.sqlite'), log)
  mirror.onBatch((batch) => history.take(batch))
  let armed = true
  mirror.onChange((state) => {
    const wanted = clusterPolicyOf(state).armed
    if (wanted !== armed) fence.update({ armed: (armed = wanted) })
  })
  const decisions = new DecisionHistory(join(config.stateDir, 'decisions.sqlite'), log)
  const usage = new UsageLog(join(config.stateDir, 'usage.sqlite'))
  mirror.onBatch((batch) => usage.take(batch))
  const { audit, auditChain } = hostAudit({
    ...{ self, stateDir: config.stateDir, store, mirror, peers, clock, random: realRandom, log },
  })
  const blobs = new BlobStore(join(config.stateDir, 'blobs'), (blob) => peers.fetchBlob(blob))
  const imports = imageImports({ self, store, mirror, clock, events, log, config, blobs, peers })
  await imports.clean()
  const { images, subvolumes, volumes, gate, rootCopies } = await hostStorage(
    { ...{ config, helper, bootId, store, mirror, peers, blobs, clock, log }, onRestart: restarted },
    signal,
  )
  work.push(gate.keep(signal))
  const ownVolumes = gate.openTo(self, volumes)
  const namespacePid = () => guestNamespace(fence, deadman)
  const network = watchedNetworkHost(config.guestUser ? { user: config.guestUser } : {}, clock, log, signal)
  const guests = hostGuests({ config, helper, namespacePid, mirror, events, network, clock, log })
  const metrics = measuring({ config, guests, store, mirror, events, peers, fence, clock, log })
  const copies = diskCopies({
    ...{ self, mirror, config, images, subvolumes, peers, containers: guests.containers },
    keep: (path, blob, mode) => blobs.take(path, blob, mode),
  })
  const memory = new QemuGuestMemory({
    processes: guests.vms.processes,
    places: imagesOfAllHosts({ self, own: images.images, client: (host) => peers.client(host) }),
    ...(config.guestUser ? { user: config.guestUser } : {}),
  })
  const context: HostContext = {
    self,
    store,
    mirror,
    fence,
    guests: guests.host,
    guestAgent: guests.agent,
    hostDevices: new SysfsHostDevices({
      root: '/',
      guestsFolder: join(config.stateDir, 'guests'),
      notesFile: join(config.stateDir, 'made-devices.json'),
      ...(config.guestUser ? { user: config.guestUser } : {}),
    }),
    migration: guests.migration,
    memory,
    arrivalsOn: (host) => (host === self ? arrivals : remoteArrivals(peers.client(host))),
    volumesOn: (host, via) => (host === self ? ownVolumes : peers.volumes(host, via)),
    ...{ ...rootCopies.ports, network, legWatch: new LegProbe() },
    probe: new HostGuestProbe({ ...guests, consoleLogPath: (guest) => guests.host.consoleLogPath(guest), clock }),
    blobPath: (blob) => blobs.ensure(blob),
    consoleLogs: new CarriedLogs({ peers, logPath: (guest) => guests.host.consoleLogPath(guest), log }),
    events,
    keepDecision: (id, input, plan) => decisions.keep(id, input, plan),
    clock,
    random: realRandom,
    log,
  }

  const arrivals: Arrivals = new Arrivals(context)
  const consoles = new ConsoleRouter({
    self,
    mirror,
    client: (host) => peers.client(host),
    here: guests.consoles,
    tickets: new ConsoleTickets(self, clock),
    mayUse: mayUseConsole({ mirror, clock }),
  })
  const verdicts = () => {
    const view = fence.view()
    const members = [...mirror.state.hosts.keys()]
    const detectionMs = mirror.state.settings?.value.detectionMs ?? config.detectionMs
    return view ? hostVerdicts({ self, view, members, detectionMs }) : new Map()
  }
  const authority = new AuthorityReplacement({ config, credentials, store, mirror, events, clock, log })
  const own = { config, store, mirror, member, etcd, clock }
  const backend = createApiBackend({
    ...{ self, store, mirror, events },
    ...{ history, audit, auditChain, usage },
    decisions: new ClusterDecisions(decisions, {
      online: () => peers.online().filter((host) => host !== self),
      call: (host, name, input) => peers.client(host).callGuest(name, input),
    }),
    blobs,
    clock,
    random: realRandom,
    log,
    verdicts,
    lagBytes: (volume) => lagBytes(context, volume),
    console: (guest, offset, follow, gone) => openConsole(context, peers, { guest, offset, follow }, gone),
    guestAgentOf: askGuestAgent(context, peers),
    memoryUseOf: askMemoryUse(context, peers),
    counters: askCounters(self, guests.counters, peers),
    ...{ metrics: metrics.cluster, networks: metrics.networks },
    consoles,
    heldSnapshots: (host) => context.volumesOn(host).heldSnapshots(),
    checkKernel,
    dumpContainer: copies.dumpContainer,
    spreadBlobs: imports.spreadBlobs,
    admission: new HostAdmission({ config, store, vault, mirror, member, events, clock, log }),
    authority,
    loneHost: new LoneHost({ ...own, credentials, vault, verdicts, events, log }),
    confirmDead: (host) => confirmDead({ ...own, verdicts, events }, host),
    webAuthority: () => webAuthority(config, clock.wallMs(), vault),
    ...(powerStrip === undefined ? {} : { power: new PowerStrip(powerStrip) }),
  })
  const serving: Omit<ApiServerOptions, 'listen'> = {
    host: self,
    ...accessControl(backend, { store, mirror, clock, audit }),
    log,
    ...(config.apiToken === undefined ? {} : { token: config.apiToken }),
    connectConsole: (request) => consoles.connect(request),
    web: webFiles(),
  }
  const api = await startApiServer({ ...serving, listen: [{ unix: join(config.stateDir, 'agent.sock') }] })
  work.push(...publicApiWork({ config, vault, store, mirror, clock, log }, serving, signal))
  const memoryImages = memoryImageService(images.images)
  const internal = await startInternalServer({
    hosts: Object.values(config.addresses).filter((address) => address !== undefined),
    port: config.agentPort,
    credentials,
    volumesFor: (caller) => gate.openTo(caller, volumes),
    blobs,
    guestCalls: {
      ...decisionCalls(decisions),
      ...{ ...signingCalls({ config, vault, clock }), ...shareCalls },
      ...{ ...guestAgentCalls(context), ...memoryUseCalls(context), ...counterCalls(guests.counters) },
      ...{ ...arrivalCalls(arrivals), ...metrics.calls },
      ...memoryImages.calls,
      ...{ ...consoles.calls, ...rootCopies.service.calls },
      ...{ ...copies.calls, ...auditChain.calls },
      ...imports.calls,
      ...leavingCalls({ config, credentials, configPath, companions: [deadman, guardian, etcd], end, clock, log }),
    },
    pipes: { ...consoles.pipes, ...memoryImages.pipes },
    streams: {
      ...consoles.streams,
      ...{ ...memoryImages.streams, ...rootCopies.service.streams },
      console: async (input, gone) => {
        const { guest, offset, follow } = input as { guest: GuestId; offset: number; follow: boolean }
        return ok(readConsole(guests.host.consoleLogPath(guest), offset, follow, gone))
      },
    },
    log,
  })
  // The next start (of any host that shares the cache) needs no type stripping and is twice as quick.
  flushCompileCache()
  log.info('the agent is up', { role: config.role, bootId })

  work.push(keepStorageDaemons(config.pools, images, context, signal))
  const accelerator =
    config.role === 'compute'
      ? await detectAccelerator({ log, ...(config.guestUser ? { user: config.guestUser } : {}) })
      : 'none'
  // Asked now, so that the first start need not wait for the answer.
  if (config.role === 'compute') void newestMachineType()
  const processor = processorFor(accelerator, readFileSync('/proc/cpuinfo', 'utf8'))
  const containers = new HostContainers()
  if (config.role === 'compute') await containers.look(config.nativeDir, log)
  const qemuVersion = config.role === 'compute' ? await detectQemuVersion() : undefined
  const ownMember = member.isMember ? ownStoreMember(member, etcd, clock, log) : undefined
  const registration: Registration = {
    certificate: () => credentials.material.cert,
    heartbeatKey: () => fence.view()?.keyGeneration,
    trusts: () => ownTrusts(credentials, ownMember),
    ...{ config, bootId, accelerator, containers, qemuVersion, processor, isSwitched: powerStrip !== undefined },
    ...{ store, events, clock, random: realRandom, log },
  }
  await register(registration, signal)
  work.push(containers.tryLiveMove(config).then(() => register(registration, signal)))
  work.push(keepRegistered(registration, signal))
  work.push(runHostAgent({ context, arrivals, role: config.role, detectionMs: config.detectionMs }, signal))
  work.push(guests.keep(signal), metrics.keep(signal), auditChain.keep(signal))
  work.push(watchBonds({ host: self, events, clock, log, look: ownBonds(ownNetwork) }, signal))
  work.push(keeper.run(signal))
  work.push(keepWebhooksTold({ self, store, mirror, history, usage, clock, log }, signal))
  work.push(new CertificateKeeper({ self, store, mirror, events, clock, random: realRandom, log }).run(signal))
  work.push(keepMetering({ self, store, mirror, clock, log }, signal))
  work.push(imports.work(copies.captureDisk, signal))
  const { dumps } = copies
  work.push(keepBlobsTidy({ directory: join(config.stateDir, 'blobs'), mirror, clock, log, dumps }, signal))
  work.push(
    keepHouse(
      { store, mirror, clock, log, isCoordinating: () => mirror.state.coordinator?.value.host === self },
      signal,
    ),
  )
  const acknowledge = () => register(registration, signal)
  const ending = { beforeEnd: () => keeper.beforeEnd(), end }
  const joining = {
    ...{ configPath, config, store, vault, mirror, peers, guardian: fence, writeKeys, authority, acknowledge },
    ...{ credentials, events, ...ending, clock, log },
    ...(ownMember ? { member: ownMember } : {}),
  }
  work.push(...membershipWork(joining, signal), tellLeftBehind({ config, events, clock, log }, signal))
  if (member.isMember) work.push(watchMembership(member, etcd, clock, log, signal))
  await Promise.all(work)
  await Promise.all([api.close(), internal.close()])
  memory.close()
  images.release()
  fence.close()
  await Promise.all([store.close(), member.close()])
  for (const file of [history, auditChain.log, usage, metrics, decisions]) file.close()
}

/** Guests start only where the deadman reaches them; while it is being restarted, they wait. */
async function guestNamespace(fence: GuardianFence, deadman: Companion): Promise<number> {
  const deadline = realClock.monotonicMs() + DEADMAN_WAIT_MS
  for (;;) {
    const pid = await fence.guestNamespacePid()
    if (pid !== undefined) return pid
    if (realClock.monotonicMs() >= deadline)
      throw new Error('the deadman does not run, and no guest is started without it')
    deadman.look()
    await realClock.sleep(20)
  }
}

void main(process.argv[2])
