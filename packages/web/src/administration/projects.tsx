/** Projects: whose guests are whose, what each may have and what it has. */
import { MultiSelect, NumberInput, SimpleGrid } from '@mantine/core'
import { useMemo, useState } from 'react'
import type { ProjectView } from '@stead/api/endpoints/projects.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import { useLanguage, useText } from '../i18n/texts.ts'
import { useAsked, useItems } from '../parts/answered.tsx'
import { bytesText } from '../parts/figures.ts'
import { ChangeDialog } from '../parts/change-dialog.tsx'
import { complaintOf } from '../parts/schema-complaint.ts'
import { NameField, TextField } from '../parts/text-field.tsx'
import { useRefusal } from '../session/privileges.ts'
import type { TableColumn } from '../table/data-table.tsx'
import { Listing, nameColumn } from './listing.tsx'
import classes from './listing.module.css'
import { ProjectPermissions } from './project-permissions.tsx'
import { UsageDialog } from './usage-dialog.tsx'
import { LIMITS, limitsOf, quotaFormOf, type Limit } from './quota-form.ts'

type RowKind = 'edit' | 'usage' | 'permissions' | 'delete'
type Asking = { readonly kind: 'create' } | { readonly kind: RowKind; readonly project: ProjectView }

export function Projects() {
  const t = useText()
  const language = useLanguage()
  const may = useRefusal('/')('project.manage')
  const asked = useAsked(['projects'], (client) => client.call(ENDPOINTS['project.list']))
  const [asking, setAsking] = useState<Asking>()
  const columns = useMemo((): readonly TableColumn<ProjectView>[] => {
    const share = (limit: Limit): TableColumn<ProjectView> => ({
      id: limit,
      title: t(`projects.limit.${limit}`),
      width: 'minmax(90px, 1fr)',
      ...(limit === 'guests' || limit === 'memoryBytes' ? {} : { wideOnly: true as const }),
      value: ({ usage }) => usage[limit],
      cell: ({ usage, quota }) => {
        const text = (value: number) => (limit.endsWith('Bytes') ? bytesText(value, language) : String(value))
        const most = quota[limit]
        const isFull = most !== undefined && usage[limit] >= most
        return (
          <span className={isFull ? classes.full : undefined}>
            {most === undefined ? text(usage[limit]) : t('word.of', { part: text(usage[limit]), whole: text(most) })}
          </span>
        )
      },
    })
    return [
      nameColumn(t('word.name'), 'minmax(110px, 1.2fr)', ({ notes }) => notes),
      ...(['guests', 'cpus', 'memoryBytes', 'diskBytes', 'snapshots'] as const).map(share),
    ]
  }, [t, language])
  const look = (kind: 'permissions' | 'usage') => ({
    text: t(`projects.${kind}`),
    refusal: () => undefined,
    onClick: (project: ProjectView) => setAsking({ kind, project }),
  })
  const action = (kind: 'edit' | 'delete') => ({
    text: t(`projects.${kind}`),
    refusal: ({ createdAt }: ProjectView) =>
      may ?? (kind === 'delete' && createdAt === null ? t('projects.always') : undefined),
    onClick: (project: ProjectView) => setAsking({ kind, project }),
  })
  const close = () => setAsking(undefined)
  return (
    <>
      <Listing
        label={t('admin.tab.projects')}
        icon="tag"
        asked={asked}
        idOf={({ name }) => name}
        textOf={({ name, notes }) => `${name} ${notes}`}
        columns={columns}
        actions={[look('permissions'), look('usage'), action('edit'), action('delete')]}
        create={{ text: t('projects.create'), refusal: may, onClick: () => setAsking({ kind: 'create' }) }}
        none={t('projects.none')}
      />
      {asking?.kind === 'create' ? <ProjectDialog onClose={close} /> : null}
      {asking?.kind === 'edit' ? <ProjectDialog project={asking.project} onClose={close} /> : null}
      {asking?.kind === 'permissions' ? <ProjectPermissions project={asking.project.name} onClose={close} /> : null}
      {asking?.kind === 'usage' ? <UsageDialog project={asking.project.name} onClose={close} /> : null}
      {asking?.kind === 'delete' ? (
        <ChangeDialog
          title={t('projects.askDelete', { name: asking.project.name })}
          confirm={t('projects.delete')}
          danger={{ text: t('projects.deleteText'), name: asking.project.name }}
          call={(client) => client.call(ENDPOINTS['project.delete'], { params: { project: asking.project.name } })}
          onClose={close}
        />
      ) : null}
    </>
  )
}

function ProjectDialog({ project, onClose }: { project?: ProjectView; onClose: () => void }) {
  const t = useText()
  const [name, setName] = useState(project?.name ?? '')
  const [notes, setNotes] = useState(project?.notes ?? '')
  const [quota, setQuota] = useState(() => quotaFormOf(project?.quota ?? {}))
  const [people, setPeople] = useState(project?.people ?? [])
  const groups = useItems(['groups'], (client) => client.call(ENDPOINTS['group.list']))
  const settings = { notes, people, quota: limitsOf(quota) }
  const created = { name: name.trim(), ...settings }
  const complaint = project ? undefined : name === '' ? '' : complaintOf(ENDPOINTS['project.create'].body, created)
  return (
    <ChangeDialog
      title={project ? t('projects.askEdit', { name: project.name }) : t('projects.create')}
      confirm={project ? t('word.save') : t('projects.create')}
      complaint={complaint}
      call={(client) =>
        project
          ? client.call(
              ENDPOINTS['project.set'],
              { params: { project: project.name }, body: settings },
              { ifMatch: project.revision },
            )
          : client.call(ENDPOINTS['project.create'], { body: created })
      }
      onClose={onClose}
    >
      {project ? null : <NameField value={name} onChange={setName} />}
      <TextField label={t('projects.notes')} value={notes} onChange={setNotes} />
      <MultiSelect
        label={t('projects.people')}
        description={t('projects.peopleText')}
        data={[...new Set([...groups.map((group) => group.name), ...people])]}
        value={[...people]}
        onChange={setPeople}
        searchable
      />
      <p className={classes.dim}>{t('projects.limitsText')}</p>
      <SimpleGrid cols={2}>
        {LIMITS.map((limit) => (
          <NumberInput
            key={limit}
            label={limit.endsWith('Bytes') ? `${t(`projects.limit.${limit}`)} (GiB)` : t(`projects.limit.${limit}`)}
            min={0}
            value={quota[limit]}
            onChange={(value) => setQuota((before) => ({ ...before, [limit]: value === '' ? '' : Number(value) }))}
          />
        ))}
      </SimpleGrid>
    </ChangeDialog>
  )
}
