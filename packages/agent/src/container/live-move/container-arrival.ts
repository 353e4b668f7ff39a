/**
 * The end of a live move that waits for the container: its front is up beside the run that is still elsewhere, and reads and
 * writes nothing. The root is mounted, and the processes restored, once the source has said that the container is ours. Before
 * that it ends with the connection, with its front and with the agent: docs/internals/containers.md.
 */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { failure } from '@stead/core/errors.ts'
import type { GuestLaunch } from '@stead/core/ports/guest-host.ts'
import type { ArrivalEndpoint } from '@stead/core/ports/guest-migration.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { ContainerFront } from '../container-front.ts'
import { raiseLinks } from '../container-links.ts'
import { ContainerBuilding, linkName } from '../container-parts.ts'
import { clearRun, ContainerRun, type ContainerRunOptions } from '../container-run.ts'
import { clearImageFolder, imagesFolder, makeImageFolder } from './image-folder.ts'
import { listenForImages, type ImageListener, type ImageSocket } from './image-socket.ts'

/** The source connects as soon as it knows where. */
const CONNECTED_TIMEOUT_MS = 15_000
const IMAGES_TIMEOUT_MS = 120_000

export interface ArrivingContainer {
  readonly options: ContainerRunOptions
  readonly launch: GuestLaunch
  readonly criu: string
  /** The container will never run here: what waits is to be ended. Said once, and not after `end` or `dispose`. */
  readonly onOver: () => void
}

export class ContainerArrival {
  readonly launch: GuestLaunch
  readonly #of: ArrivingContainer
  readonly #building: ContainerBuilding
  readonly #front: ContainerFront
  readonly #listener: ImageListener
  /** The connection, once the source has said on it that the container is ours. */
  readonly #go: Promise<Result<ImageSocket>>
  #socket: ImageSocket | undefined
  #isOurs = false
  #over = false
  #giveUp: () => void = () => undefined

  private constructor(
    of: ArrivingContainer,
    building: ContainerBuilding,
    front: ContainerFront,
    listener: ImageListener,
  ) {
    this.#of = of
    this.launch = of.launch
    this.#building = building
    this.#front = front
    this.#listener = listener
    this.#go = this.#awaitGo()
  }

  /** A failure leaves nothing behind. Everything that an earlier run has left here must have been ended. */
  static async prepare(
    of: ArrivingContainer,
    at: { readonly address: string; readonly secret: string },
  ): Promise<Result<{ readonly arrival: ContainerArrival; readonly endpoint: ArrivalEndpoint }>> {
    const { options, launch } = of
    const building = new ContainerBuilding(options, launch)
    // What its console has said where it is comes now, and is not to stand behind what an earlier run said here.
    rmSync(join(options.folder, 'console.log'), { force: true })
    const listener = await listenForImages(at.address, at.secret)
    if (!listener.ok) return listener
    const place = await makeImageFolder(options.folder, launch.memoryBytes)
    let arrival: ContainerArrival | undefined
    const front = place.ok ? await building.startFront(undefined, () => arrival?.frontGone()) : place
    if (front.ok) {
      arrival = new ContainerArrival(of, building, front.value, listener.value)
      const { port } = listener.value
      return ok({ arrival, endpoint: { ...at, port, postCopyRefusal: 'a container moves while it stands still' } })
    }
    listener.value.close()
    await clearImageFolder(options.folder)
    await clearRun(options.folder)
    return front
  }

  get front(): ContainerFront {
    return this.#front
  }

  async #awaitGo(): Promise<Result<ImageSocket>> {
    const socket = await this.#receive()
    const go = socket.ok ? await socket.value.next('go') : socket
    this.#isOurs = go.ok
    if (go.ok) return socket
    this.#isOver()
    return go
  }

  async #receive(): Promise<Result<ImageSocket>> {
    const nobody = new Promise<undefined>((resolve) => {
      this.#giveUp = () => resolve(undefined)
      setTimeout(this.#giveUp, CONNECTED_TIMEOUT_MS).unref()
    })
    const socket = await Promise.race([this.#listener.arrived, nobody])
    this.#listener.close()
    if (!socket) {
      void this.#listener.arrived.then((late) => late.close())
      return fail(failure('timeout', 'The host that it leaves has not connected'))
    }
    this.#socket = socket
    socket.storeIn(imagesFolder(this.#of.options.folder))
    socket.tell({ kind: 'ready' })
    const all = await socket.next('all', IMAGES_TIMEOUT_MS)
    if (!all.ok) return all
    socket.tell({ kind: 'received' })
    return ok(socket)
  }

  /** Resolves once the container runs here. Of the failures only `timeout` leaves it to be awaited again. */
  async arrived(timeoutMs: number): Promise<Result<ContainerRun>> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<Result<never>>((resolve) => {
      const text = `The host that it leaves has not let it go within ${timeoutMs} ms`
      timer = setTimeout(() => resolve(fail(failure('timeout', text))), timeoutMs)
    })
    const socket = await Promise.race([this.#go, late])
    clearTimeout(timer)
    if (!socket.ok) return socket
    const { options, launch, criu } = this.#of
    const began = performance.now()
    const arrived = await ContainerRun.start(options, launch, {
      building: this.#building,
      arriving: { front: this.#front, criu },
    })
    const init = arrived.ok ? arrived.value.lxc.initPid() : undefined
    // Where it has not been heard, its first word is.
    if (init !== undefined) await this.#raiseLinks(init)
    options.log.info('the container has come', { ms: Math.round(performance.now() - began) })
    socket.value.tell(arrived.ok ? { kind: 'running' } : { kind: 'failed', reason: arrived.error.message })
    await clearImageFolder(options.folder)
    if (!arrived.ok) this.#isOver()
    return arrived
  }

  async #raiseLinks(init: number): Promise<void> {
    const { options, launch } = this.#of
    const links = launch.nics.map((nic, position) => ({ hostEnd: nic.tap, name: linkName(nic, position) }))
    const raised = await raiseLinks(options.nativeDir, init, links)
    if (!raised.ok) options.log.error(raised.error.message)
  }

  #isOver(): void {
    if (!this.#over) this.#of.onOver()
    this.#over = true
  }

  /** Later it is the run that fails, and says why. */
  frontGone(): void {
    if (!this.#isOurs) this.#hangUp()
  }

  /** The source notices. */
  #hangUp(): void {
    this.#listener.close()
    this.#socket?.close()
    this.#giveUp()
  }

  /** Lets go of it, as an agent that ends does: nothing comes any more, and the front waits for the next agent to end it. */
  dispose(): void {
    this.#over = true
    this.#hangUp()
    this.#front.dispose()
  }

  /** The container never comes, or has come. What it may have left is the caller's to clear. */
  async end(): Promise<void> {
    this.dispose()
    await clearImageFolder(this.#of.options.folder)
  }
}
