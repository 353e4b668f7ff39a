/** Dumps of containers that the cluster holds: fetched, and deleted. They are made from the container's own menu. */
import { useMemo, useState } from 'react'
import type { BackupView } from '@stead/api/endpoints/backups.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import { projectPath } from '@stead/core/access/object-path.ts'
import { useLanguage, useText } from '../i18n/texts.ts'
import { useLive } from '../live/use-live.ts'
import { useAsked } from '../parts/answered.tsx'
import { BackupLink } from '../parts/backup-link.tsx'
import { ChangeDialog } from '../parts/change-dialog.tsx'
import { Dialog } from '../parts/dialog.tsx'
import { bytesText, momentText } from '../parts/figures.ts'
import { useRefusals } from '../session/privileges.ts'
import type { TableColumn } from '../table/data-table.tsx'
import { Listing } from './listing.tsx'

export function Backups() {
  const t = useText()
  const language = useLanguage()
  const newest = useLive((state) => state.events.findLast(({ kind }) => kind === 'guest.dumped')?.id)
  const asked = useAsked(['backups', newest], (client) => client.call(ENDPOINTS['backup.list']))
  const projects = asked.data?.ok ? asked.data.value.items.map(({ project }) => projectPath(project)) : []
  const refusal = useRefusals([...new Set(projects)])
  const mayNot = ({ project }: BackupView) => refusal(projectPath(project), 'image.manage')
  const mayNotFetch = (backup: BackupView) =>
    mayNot(backup) ?? (backup.state === 'ready' ? undefined : t(`backups.state.${backup.state}`))
  const [asking, setAsking] = useState<{ readonly kind: 'fetch' | 'delete'; readonly backup: BackupView }>()
  const close = () => setAsking(undefined)
  const columns = useMemo(
    (): readonly TableColumn<BackupView>[] => [
      {
        ...{ id: 'guest', title: t('backups.guest'), width: 'minmax(120px, 1.2fr)' },
        value: ({ guest }) => guest,
        cell: ({ id, guest }) => <strong title={id}>{guest}</strong>,
      },
      {
        ...{ id: 'created', title: t('admin.created'), width: 'minmax(130px, 1fr)' },
        value: ({ createdAt }) => createdAt,
        cell: ({ createdAt }) => momentText(createdAt, language),
      },
      {
        ...{ id: 'size', title: t('images.size'), width: '90px', align: 'end' },
        value: ({ sizeBytes }) => sizeBytes ?? 0,
        cell: ({ sizeBytes }) => (sizeBytes === null ? '' : bytesText(sizeBytes, language)),
      },
      {
        ...{ id: 'state', title: t('backups.state'), width: 'minmax(90px, .8fr)' },
        value: ({ state }) => state,
        cell: ({ state }) => t(`backups.state.${state}`),
      },
      {
        ...{ id: 'host', title: t('column.host'), width: 'minmax(70px, .6fr)', wideOnly: true },
        value: ({ host }) => host,
        cell: ({ host }) => host,
      },
      {
        ...{ id: 'project', title: t('images.project'), width: 'minmax(80px, .7fr)', wideOnly: true },
        value: ({ project }) => project,
        cell: ({ project }) => project,
      },
      {
        ...{ id: 'until', title: t('backups.until'), width: 'minmax(130px, 1fr)', wideOnly: true },
        value: ({ keptUntil }) => keptUntil,
        cell: ({ keptUntil }) => momentText(keptUntil, language),
      },
    ],
    [t, language],
  )
  return (
    <>
      <Listing
        label={t('admin.tab.backups')}
        icon="volume"
        asked={asked}
        idOf={({ id }) => id}
        textOf={({ id, project, host }) => [id, project, host].join(' ')}
        columns={columns}
        actions={[
          { text: t('backups.fetch'), refusal: mayNotFetch, onClick: (backup) => setAsking({ kind: 'fetch', backup }) },
          { text: t('images.delete'), refusal: mayNot, onClick: (backup) => setAsking({ kind: 'delete', backup }) },
        ]}
        none={t('backups.none')}
      />
      {asking?.kind === 'fetch' ? (
        <Dialog title={t('backups.askFetch', { name: asking.backup.id })} onClose={close}>
          <p>{t('backups.fetchText', { name: asking.backup.id })}</p>
          <BackupLink
            id={asking.backup.id}
            compress={asking.backup.compress}
            sizeBytes={asking.backup.sizeBytes ?? 0}
          />
        </Dialog>
      ) : null}
      {asking?.kind === 'delete' ? (
        <ChangeDialog
          title={t('images.askDelete', { name: asking.backup.id })}
          confirm={t('images.delete')}
          danger={{ text: t('backups.deleteText'), name: asking.backup.id }}
          call={(client) => client.call(ENDPOINTS['backup.delete'], { params: { backup: asking.backup.id } })}
          onClose={close}
        />
      ) : null}
    </>
  )
}
