/** Projects, and what belongs to them. */
import type { ProjectView } from '@stead/api/endpoints/projects.ts'
import { projectPath } from '@stead/core/access/object-path.ts'
import { failure } from '@stead/core/errors.ts'
import type { ClusterState, Versioned } from '@stead/core/model/cluster.ts'
import { templateByName } from '@stead/core/model/container-template.ts'
import type { Guest } from '@stead/core/model/guest.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import { DEFAULT_PROJECT, projectExists, projectOf, projectOfVolume, type Project } from '@stead/core/model/project.ts'
import { usageOf, type ProjectQuota, type QuotaMeasure } from '@stead/core/model/project-quota.ts'
import type { Image } from '@stead/core/model/volume.ts'
import type { Compare } from '@stead/core/ports/store.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { ApiBackend } from '../http/backend.ts'
import { changeAccess, missing, put, remove } from './access-change.ts'
import type { Change } from './change.ts'
import type { Desk } from './desk.ts'
import { lowerThanHeld } from './quota-check.ts'

type Answers = Pick<
  ApiBackend,
  `project.${'list' | 'show' | 'create' | 'set' | 'delete'}` | 'guest.assign' | 'image.assign'
>

export function projectEndpoints(desk: Desk): Answers {
  const { clock } = desk.context
  const shown = (name: string): Result<ProjectView> =>
    projectExists(desk.state, name) ? ok(projectView(desk.state, name)) : missing('project', name)
  return {
    'project.list': async () =>
      desk.loaded((state) => {
        const names = new Set([DEFAULT_PROJECT, ...state.projects.keys()])
        return ok({ items: [...names].toSorted().map((name) => projectView(state, name)) })
      }),
    'project.show': async ({ params }) => desk.loaded(() => shown(params.project)),
    'project.create': async ({ body: { name, notes, quota, people } }, request) => {
      const made = await desk.change(request, () => {
        if (projectExists(desk.state, name))
          return fail(failure('name_taken', `There is a project ${name} already`, { hint: 'See `stead project list`' }))
        const unknown = unknownGroup(desk.state, people)
        if (unknown) return unknown
        const project: Project = {
          ...{ name, createdAt: clock.wallMs() },
          ...(people?.length ? { people: [...new Set(people)] } : {}),
          ...(notes ? { notes } : {}),
          ...limitsOf({}, quota),
        }
        return ok({
          ...{ kind: 'project.create', subject: `project/${name}`, events: [] },
          compares: [{ key: KEYS.project(name), modRevision: 0n }],
          writes: [put(KEYS.project(name), project)],
        })
      })
      if (!made.ok) return made
      await desk.started(made.value)
      return shown(name)
    },
    'project.set': async ({ params: { project: name }, body }, request) => {
      const made = await desk.change(request, () => setChange(desk, name, body))
      if (!made.ok) return made
      await desk.started(made.value)
      return shown(name)
    },
    'project.delete': async ({ params: { project: name } }, request) => {
      const made = await changeAccess(desk, request, async (access) => {
        const unchanged = await desk.projectTurn(name)
        if (!unchanged.ok) return unchanged
        const known = desk.state.projects.get(name)
        const objection = objectionToDelete(desk.state, name)
        if (objection) return fail(objection)
        if (!known) return missing('project', name)
        const permissions = [...access.permissions.values()].filter(
          ({ value }) => value.path === projectPath(name) || value.delegated?.project === name,
        )
        return ok({
          ...{ kind: 'project.delete', subject: `project/${name}` },
          compares: [{ key: KEYS.project(name), modRevision: known.revision }, unchanged.value],
          writes: [
            remove(KEYS.project(name)),
            remove(KEYS.projectTurn(name)),
            ...permissions.map(({ value }) => remove(KEYS.permission(value.id))),
          ],
        })
      })
      return made.ok ? ok() : made
    },
    'guest.assign': async ({ params, body }, request) => {
      const made = await desk.changeGuest(params.guest, request, (guest) =>
        assignChange(desk.state, guest, body.project),
      )
      if (!made.ok) return made
      await desk.started(made.value)
      const guest = desk.findGuest(params.guest)
      return guest.ok ? ok({ guest: guest.value.value.name, project: projectOf(guest.value.value) }) : guest
    },
    'image.assign': async ({ params, body: { project } }, request) => {
      const made = await desk.change(request, () => assignImage(desk.state, params.image, project))
      if (!made.ok) return made
      await desk.started(made.value)
      return ok({ image: params.image, project })
    },
  }
}

interface ProjectBody {
  readonly notes?: string | undefined
  readonly quota?: LimitsBody | undefined
  readonly people?: readonly string[] | undefined
}
type LimitsBody = { readonly [Measure in QuotaMeasure]?: number | null | undefined }

async function setChange(desk: Desk, name: string, body: ProjectBody): Promise<Result<Change>> {
  // Nothing is added to the project between the look at what it has and the limit.
  const turn = body.quota ? await desk.projectTurn(name) : undefined
  if (turn && !turn.ok) return turn
  const { state } = desk
  const known = state.projects.get(name)
  if (!known && name !== DEFAULT_PROJECT) return missing('project', name)
  const {
    notes: oldNotes,
    quota: oldQuota = {},
    people: oldPeople,
    ...rest
  } = known?.value ?? { name, createdAt: desk.context.clock.wallMs() }
  const refusal = lowerThanHeld(state, name, given(body.quota))
  if (refusal) return fail(refusal)
  const unknown = unknownGroup(state, body.people)
  if (unknown) return unknown
  const notes = body.notes ?? oldNotes
  const people = body.people ?? oldPeople ?? []
  const project: Project = {
    ...{ ...rest, ...limitsOf(oldQuota, body.quota) },
    ...(notes ? { notes } : {}),
    ...(people.length > 0 ? { people: [...new Set(people)] } : {}),
  }
  return ok({
    ...{ kind: 'project.set', subject: `project/${name}`, events: [] },
    compares: [{ key: KEYS.project(name), modRevision: known?.revision ?? 0n }, ...(turn ? [turn.value] : [])],
    writes: [put(KEYS.project(name), project), ...(turn ? [put(KEYS.projectTurn(name), `project/${name}`)] : [])],
  })
}

function unknownGroup({ groups }: ClusterState, names: readonly string[] = []): Result<never> | undefined {
  const unknown = names.find((name) => !groups.has(name))
  return unknown === undefined ? undefined : missing('group', unknown)
}

function limitsOf(old: ProjectQuota, body: LimitsBody = {}): Pick<Project, 'quota'> {
  const kept = Object.entries(old).filter(([measure]) => body[measure as QuotaMeasure] === undefined)
  const quota: ProjectQuota = { ...Object.fromEntries(kept), ...given(body) }
  return Object.keys(quota).length === 0 ? {} : { quota }
}

/** The limits that are set anew. */
function given(body: LimitsBody = {}): ProjectQuota {
  return Object.fromEntries(Object.entries(body).filter(([, limit]) => typeof limit === 'number'))
}

function objectionToDelete(state: ClusterState, name: string) {
  if (name === DEFAULT_PROJECT)
    return failure('conflict', `The project ${DEFAULT_PROJECT} is always there and cannot be deleted`)
  const guests = guestsOf(state, name).map((guest) => `the guest ${guest.name}`)
  const volumes = [...state.volumes.values()].filter(
    ({ value }) => value.attachment === 'detached' && projectOfVolume(state, value) === name,
  )
  const held = [
    ...guests,
    ...volumes.map(({ value }) => `the volume ${value.id}`),
    ...imagesOf(state, name).map((image) => `the image ${image.name}`),
    ...[...state.imports.values()]
      .filter(({ value }) => value.project === name)
      .map(({ value }) => `the image ${value.name}, which is being imported`),
    ...[...state.backups.values()]
      .filter(({ value }) => projectOf(value) === name)
      .map(({ value }) => `the backup ${value.id}`),
  ]
  const [first] = held
  if (first === undefined) return undefined
  const more = held.length === 1 ? '' : ` and ${held.length - 1} more`
  return failure('conflict', `To ${name} belongs ${first}${more}`, {
    hint: 'Delete them, or move them to another project: `stead vm assign`, `stead image assign`',
  })
}

/** What was kept of the guest goes with it. */
function assignChange(state: ClusterState, { value: guest, revision }: Versioned<Guest>, to: string): Result<Change> {
  const target = existing(state, to)
  if (!target.ok) return target
  if (guest.deleting) return fail(failure('conflict', `${guest.name} is being deleted`))
  const { project: from = DEFAULT_PROJECT, ...rest } = guest
  if (from === to) return fail(failure('conflict', `${guest.name} belongs to ${to} already`))
  const kept = [...state.volumes.values()].filter(
    ({ value }) => value.guest === guest.id && value.attachment !== undefined && value.attachment !== 'joining',
  )
  const backups = [...state.backups.values()].filter(({ value }) => value.guest === guest.id)
  const owned = to === DEFAULT_PROJECT ? {} : { project: to }
  return ok({
    ...{ kind: 'vm.assign', subject: `guest/${guest.id}`, project: to },
    compares: [
      { key: KEYS.guest(guest.id), modRevision: revision },
      ...kept.map(({ value, revision: seen }) => ({ key: KEYS.volume(value.id), modRevision: seen })),
      ...backups.map(({ value, revision: seen }) => ({ key: KEYS.backup(value.id), modRevision: seen })),
      target.value,
    ],
    writes: [
      put(KEYS.guest(guest.id), { ...rest, ...owned }),
      ...kept.map(({ value }) => put(KEYS.volume(value.id), { ...value, project: to })),
      ...backups.map(({ value: { project: _from, ...backup } }) =>
        put(KEYS.backup(backup.id), { ...backup, ...owned }),
      ),
    ],
    events: [
      {
        kind: 'guest.changed',
        subject: `guest/${guest.name}`,
        project: to,
        message: `${guest.name} belongs to the project ${to} now; before, to ${from}`,
      },
    ],
  })
}

function assignImage(state: ClusterState, name: string, to: string | null): Result<Change> {
  const known = state.images.get(name) ?? templateByName(state.images, name)
  if (!known) return missing('image', name)
  const target = to === null ? undefined : existing(state, to)
  if (target && !target.ok) return target
  const { project: _from, ...rest } = known.value
  return ok({
    ...{ kind: 'image.assign', subject: `image/${known.value.name}`, events: [] },
    compares: [{ key: KEYS.image(known.value.name), modRevision: known.revision }, ...(target ? [target.value] : [])],
    writes: [put(KEYS.image(known.value.name), to === null ? rest : { ...rest, project: to })],
  })
}

/** The compare says that it is still there. */
function existing(state: ClusterState, name: string): Result<Compare> {
  if (!projectExists(state, name)) return missing('project', name)
  return ok({ key: KEYS.project(name), modRevision: state.projects.get(name)?.revision ?? 0n })
}

function projectView(state: ClusterState, name: string): ProjectView {
  const record = state.projects.get(name)
  return {
    name,
    notes: record?.value.notes ?? '',
    quota: { ...record?.value.quota },
    usage: { ...usageOf(state, name) },
    images: imagesOf(state, name).length,
    people: [...(record?.value.people ?? [])],
    createdAt: record && name !== DEFAULT_PROJECT ? new Date(record.value.createdAt).toISOString() : null,
    revision: String(record?.revision ?? 0n),
  }
}

function guestsOf(state: ClusterState, project: string): readonly Guest[] {
  return [...state.guests.values()].map(({ value }) => value).filter((guest) => projectOf(guest) === project)
}

function imagesOf(state: ClusterState, project: string): readonly Image[] {
  return [...state.images.values()].map(({ value }) => value).filter((image) => image.project === project)
}
