/** Images of disks, CDs and templates of containers: brought in from this computer, deleted. */
import { Progress, Select } from '@mantine/core'
import { useEffect, useId, useMemo, useRef, useState } from 'react'
import type { Client } from '@stead/api/client.ts'
import type { ResponseOf } from '@stead/api/endpoint.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import { failure } from '@stead/core/errors.ts'
import type { BlobId } from '@stead/core/model/ids.ts'
import { fail } from '@stead/core/result.ts'
import { useLanguage, useText } from '../i18n/texts.ts'
import { useLive } from '../live/use-live.ts'
import { useAsked } from '../parts/answered.tsx'
import { bytesText, momentText, percentText } from '../parts/figures.ts'
import { ChangeDialog } from '../parts/change-dialog.tsx'
import { complaintOf } from '../parts/schema-complaint.ts'
import { NameField, TextField } from '../parts/text-field.tsx'
import { useRefusal } from '../session/privileges.ts'
import type { TableColumn } from '../table/data-table.tsx'
import { formatOf, IMAGE_FORMATS, imageNameOf, type ImageFormat } from './image-format.ts'
import { uploadFile, type UploadProgress } from './image-upload.ts'
import { Listing, nameColumn } from './listing.tsx'
import classes from './listing.module.css'

type Image = ResponseOf<(typeof ENDPOINTS)['image.list']>['items'][number]

export function Images() {
  const t = useText()
  const language = useLanguage()
  const may = useRefusal('/')('image.manage')
  const newest = useLive((state) => state.events.findLast(({ kind }) => kind.startsWith('image.'))?.id)
  const asked = useAsked(['images', newest], (client) => client.call(ENDPOINTS['image.list']))
  const [isUploading, setUploading] = useState(false)
  const [deleted, setDeleted] = useState<Image>()
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
      <Listing
        label={t('admin.tab.images')}
        icon="volume"
        asked={asked}
        idOf={({ name }) => name}
        textOf={({ name, kind, project }) => [name, kind ?? 'disk', project ?? ''].join(' ')}
        columns={columns}
        actions={[
          {
            text: t('images.delete'),
            refusal: () => may,
            onClick: setDeleted,
          },
        ]}
        create={{ text: t('images.upload'), refusal: may, onClick: () => setUploading(true) }}
        none={t('images.none')}
      />
      {isUploading ? <UploadDialog onClose={() => setUploading(false)} /> : null}
      {deleted ? (
        <ChangeDialog
          title={t('images.askDelete', { name: deleted.name })}
          confirm={t('images.delete')}
          danger={{ text: t('images.deleteText'), name: deleted.name }}
          call={(client) => remove(client, deleted)}
          onClose={() => setDeleted(undefined)}
        />
      ) : null}
    </>
  )
}

/** The root of containers' file systems is a template, of which there are versions. */
function remove(client: Client, { name, kind }: Image) {
  return kind === 'root'
    ? client.call(ENDPOINTS['template.delete'], { params: { template: name } })
    : client.call(ENDPOINTS['image.delete'], { params: { image: name } })
}

function UploadDialog({ onClose }: { onClose: () => void }) {
  const t = useText()
  const language = useLanguage()
  const fileField = useId()
  const [file, setFile] = useState<File>()
  const [name, setName] = useState('')
  const [format, setFormat] = useState<ImageFormat>('qcow2')
  const [expected, setExpected] = useState('')
  const [progress, setProgress] = useState<UploadProgress>()
  const ending = useRef(new AbortController())
  useEffect(() => () => ending.current.abort(), [])
  const request = (blob: BlobId) =>
    format === 'root' ? { name: name.trim(), blob } : { name: name.trim(), blob, format }
  const complaint = complaintOf(
    ENDPOINTS[format === 'root' ? 'template.import' : 'image.import'].body,
    request(`sha256:${'0'.repeat(64)}` as BlobId),
  )
  const take = (chosen: File | undefined) => {
    setFile(chosen)
    if (!chosen) return
    setName(imageNameOf(chosen.name))
    setFormat(formatOf(chosen.name))
  }
  const bringIn = async (client: Client) => {
    if (!file) return fail(failure('bad_request', t('images.noFile')))
    const sent = await uploadFile({ client, file, expected, signal: ending.current.signal, tell: setProgress })
    setProgress(undefined)
    if (!sent.ok) return sent
    const body = request(sent.value)
    return 'format' in body
      ? client.call(ENDPOINTS['image.import'], { body: body as { name: string; blob: BlobId; format: 'qcow2' } })
      : client.call(ENDPOINTS['template.import'], { body })
  }
  return (
    <ChangeDialog
      title={t('images.upload')}
      confirm={t('images.upload')}
      complaint={file === undefined || name === '' ? '' : complaint}
      call={bringIn}
      onClose={onClose}
    >
      <div>
        <label htmlFor={fileField} className={classes.label}>
          {t('images.file')}
        </label>
        <input
          id={fileField}
          type="file"
          className={classes.file}
          onChange={(event) => take(event.currentTarget.files?.[0])}
        />
      </div>
      <NameField value={name} onChange={setName} />
      <Select
        label={t('images.format')}
        description={t('images.formatText')}
        data={IMAGE_FORMATS.map((value) => ({ value, label: t(`images.format.${value}`) }))}
        value={format}
        onChange={(value) => setFormat((value ?? format) as ImageFormat)}
        allowDeselect={false}
      />
      <TextField
        label={t('images.expected')}
        description={t('images.expectedText')}
        value={expected}
        onChange={setExpected}
      />
      {progress && file ? (
        <div role="status">
          <p className={classes.dim}>
            {t(`images.${progress.step}`, {
              share: percentText(progress.share, 1, language),
              size: bytesText(file.size, language),
            })}
          </p>
          <Progress value={progress.share * 100} aria-label={t('images.upload')} />
        </div>
      ) : null}
    </ChangeDialog>
  )
}
