/** Images of disks, CDs and templates of containers: brought in from this computer, given to a project, deleted. */
import { useMemo, useState } from 'react'
import type { Client } from '@stead/api/client.ts'
import type { ResponseOf } from '@stead/api/endpoint.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import { useLanguage, useText } from '../i18n/texts.ts'
import { useLive } from '../live/use-live.ts'
import { useAsked, useItems } from '../parts/answered.tsx'
import { bytesText, momentText } from '../parts/figures.ts'
import { ChangeDialog } from '../parts/change-dialog.tsx'
import { useRefusals } from '../session/privileges.ts'
import type { TableColumn } from '../table/data-table.tsx'
import { ImportsNow } from './imports-now.tsx'
import { Listing, nameColumn } from './listing.tsx'
import { placeOfImages } from './image-upload.ts'
import { ProjectField } from './project-field.tsx'
import { UploadDialog } from './upload-dialog.tsx'

type Image = ResponseOf<(typeof ENDPOINTS)['image.list']>['items'][number]

export function Images() {
  const t = useText()
  const language = useLanguage()
  const newest = useLive((state) => state.events.findLast(({ kind }) => kind.startsWith('image.'))?.id)
  const asked = useAsked(['images', newest], (client) => client.call(ENDPOINTS['image.list']))
  const projects = useItems(['projects'], (client) => client.call(ENDPOINTS['project.list']))
  const owners = [null, ...(asked.data?.ok ? asked.data.value.items.map(ownerOf) : [])]
  const refusal = useRefusals([...new Set(owners.map(placeOfImages))])
  // Where one may make images of the cluster is known here; in which projects, once one is chosen.
  const ofCluster = refusal(placeOfImages(null), 'image.manage')
  const mayNot = (image: Image) => refusal(placeOfImages(ownerOf(image)), 'image.manage')
  const [isUploading, setUploading] = useState(false)
  const [asking, setAsking] = useState<{ readonly kind: 'assign' | 'delete'; readonly image: Image }>()
  const close = () => setAsking(undefined)
  const columns = useMemo(
    (): readonly TableColumn<Image>[] => [
      nameColumn(t('word.name'), 'minmax(120px, 1.4fr)', ({ blob }) => blob),
      {
        id: 'kind',
        title: t('column.kind'),
        width: 'minmax(90px, .9fr)',
        value: ({ kind }) => kind ?? 'disk',
        cell: ({ kind }) => t(`images.kind.${kind ?? 'disk'}`),
      },
      {
        id: 'size',
        title: t('images.size'),
        width: '90px',
        align: 'end',
        value: ({ virtualSizeBytes }) => virtualSizeBytes,
        cell: ({ virtualSizeBytes }) => bytesText(virtualSizeBytes, language),
      },
      {
        id: 'project',
        title: t('images.project'),
        width: 'minmax(90px, .8fr)',
        wideOnly: true,
        value: ({ project }) => project ?? '',
        cell: ({ project }) => project ?? t('images.everybody'),
      },
      {
        id: 'created',
        title: t('admin.created'),
        width: 'minmax(130px, 1fr)',
        wideOnly: true,
        value: ({ createdAt }) => createdAt,
        cell: ({ createdAt }) => momentText(createdAt, language),
      },
    ],
    [t, language],
  )
  return (
    <>
      <ImportsNow />
      <Listing
        label={t('admin.tab.images')}
        icon="volume"
        asked={asked}
        idOf={({ name }) => name}
        textOf={({ name, kind, project }) => [name, kind ?? 'disk', project ?? ''].join(' ')}
        columns={columns}
        actions={[
          { text: t('images.assign'), refusal: mayNot, onClick: (image) => setAsking({ kind: 'assign', image }) },
          { text: t('images.delete'), refusal: mayNot, onClick: (image) => setAsking({ kind: 'delete', image }) },
        ]}
        create={{
          text: t('images.upload'),
          refusal: projects.length === 0 ? ofCluster : undefined,
          onClick: () => setUploading(true),
        }}
        none={t('images.none')}
      />
      {isUploading ? (
        <UploadDialog
          firstProject={ofCluster === undefined ? null : (projects[0]?.name ?? null)}
          onClose={() => setUploading(false)}
        />
      ) : null}
      {asking?.kind === 'assign' ? <AssignDialog image={asking.image} onClose={close} /> : null}
      {asking?.kind === 'delete' ? (
        <ChangeDialog
          title={t('images.askDelete', { name: asking.image.name })}
          confirm={t('images.delete')}
          danger={{ text: t('images.deleteText'), name: asking.image.name }}
          call={(client) => remove(client, asking.image)}
          onClose={close}
        />
      ) : null}
    </>
  )
}

/** Null: the cluster. */
function ownerOf({ project }: Image): string | null {
  return project ?? null
}

/** The root of containers' file systems is a template, of which there are versions. */
function remove(client: Client, { name, kind }: Image) {
  return kind === 'root'
    ? client.call(ENDPOINTS['template.delete'], { params: { template: name } })
    : client.call(ENDPOINTS['image.delete'], { params: { image: name } })
}

function AssignDialog({ image, onClose }: { image: Image; onClose: () => void }) {
  const t = useText()
  const [project, setProject] = useState(ownerOf(image))
  return (
    <ChangeDialog
      title={t('images.askAssign', { name: image.name })}
      confirm={t('word.save')}
      complaint={project === ownerOf(image) ? '' : undefined}
      call={(client) => client.call(ENDPOINTS['image.assign'], { params: { image: image.name }, body: { project } })}
      onClose={onClose}
    >
      <ProjectField value={project} onChange={setProject} />
    </ChangeDialog>
  )
}
