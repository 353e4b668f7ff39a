/** What the guardians of a lab's hosts see of each other, as they push it to whoever listens at their sockets. */
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { silenceMs } from '@stead/core/ha/detection.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import type { HeartbeatView } from '@stead/core/ports/fence.ts'
import type { LabCluster } from './lab-cluster.ts'

export interface GuardianFigures {
  views: number
  /** The longest that a guardian heard nothing of another host, ms, on its best network. */
  silenceMsMax: number
  /** The least that was left until a host would have ended its guests, ms. */
  deadlineMsMin: number
  /** Views of a host that nobody heard. */
  isolated: number
  /** Views of a guardian that woke up too late to say anything. */
  stalled: number
}

export class GuardianWatch {
  readonly #sockets: readonly Socket[]
  readonly figures: GuardianFigures = {
    ...{ views: 0, silenceMsMax: 0, deadlineMsMin: Infinity },
    ...{ isolated: 0, stalled: 0 },
  }

  constructor(lab: LabCluster, hosts: readonly string[]) {
    this.#sockets = hosts.map((host) => this.#listen(join(lab.hostFolder(host), 'guardian.sock'), host, hosts))
  }

  end(): GuardianFigures {
    for (const socket of this.#sockets) socket.destroy()
    return this.figures
  }

  #listen(path: string, self: string, hosts: readonly string[]): Socket {
    const socket = connect(path)
    let unread = ''
    socket.setEncoding('utf8')
    socket.on('error', () => undefined)
    socket.on('data', (part: string) => {
      const lines = (unread + part).split('\n')
      unread = lines.pop() ?? ''
      for (const line of lines) {
        const { view } = JSON.parse(line) as { readonly view?: HeartbeatView }
        if (view)
          this.#take(
            view,
            hosts.filter((host) => host !== self),
          )
      }
    })
    return socket
  }

  #take(view: HeartbeatView, others: readonly string[]): void {
    const { figures } = this
    figures.views += 1
    if (view.isolated) figures.isolated += 1
    if (view.stalled) figures.stalled += 1
    figures.deadlineMsMin = Math.min(figures.deadlineMsMin, view.deadlineInMs ?? Infinity)
    for (const host of others)
      figures.silenceMsMax = Math.max(figures.silenceMsMax, silenceMs(view, host as HostId) ?? 0)
  }
}
