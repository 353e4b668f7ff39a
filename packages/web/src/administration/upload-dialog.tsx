/** Brings a file of this computer in as an image: digested, sent, and made into what guests are made of. */
import { Progress, Select } from '@mantine/core'
import { useEffect, useId, useRef, useState } from 'react'
import type { Client } from '@stead/api/client.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import { failure } from '@stead/core/errors.ts'
import type { BlobId } from '@stead/core/model/ids.ts'
import { fail } from '@stead/core/result.ts'
import { useLanguage, useText } from '../i18n/texts.ts'
import { bytesText, percentText } from '../parts/figures.ts'
import { ChangeDialog } from '../parts/change-dialog.tsx'
import { complaintOf } from '../parts/schema-complaint.ts'
import { NameField, TextField } from '../parts/text-field.tsx'
import { useRefusal } from '../session/privileges.ts'
import { formatOf, IMAGE_FORMATS, imageNameOf, type ImageFormat } from './image-format.ts'
import { placeOfImages, uploadFile, type UploadProgress } from './image-upload.ts'
import classes from './listing.module.css'
import { ProjectField } from './project-field.tsx'
import { EMPTY_TEMPLATE, templateOf } from './template-form.ts'
import { TemplateFields } from './template-fields.tsx'

interface UploadDialogProps {
  /** Whose it is to be, as long as nobody chooses; null: the cluster's. */
  readonly firstProject: string | null
  readonly onClose: () => void
}

export function UploadDialog({ firstProject, onClose }: UploadDialogProps) {
  const t = useText()
  const language = useLanguage()
  const fileField = useId()
  const [file, setFile] = useState<File>()
  const [name, setName] = useState('')
  const [format, setFormat] = useState<ImageFormat>('qcow2')
  const [expected, setExpected] = useState('')
  const [project, setProject] = useState(firstProject)
  const refusal = useRefusal(placeOfImages(project))('image.manage')
  const [template, setTemplate] = useState(EMPTY_TEMPLATE)
  const [progress, setProgress] = useState<UploadProgress>()
  const ending = useRef(new AbortController())
  useEffect(() => () => ending.current.abort(), [])
  const request = (blob: BlobId) => {
    const what = { name: name.trim(), blob, ...(project === null ? {} : { project }) }
    return format === 'root' ? { ...what, ...templateOf(template) } : { ...what, format }
  }
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
    const sent = await uploadFile({
      ...{ client, file, expected, signal: ending.current.signal, tell: setProgress },
      ...(project === null ? {} : { project }),
    })
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
      complaint={refusal ?? (file === undefined || name === '' ? '' : complaint)}
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
      <ProjectField value={project} onChange={setProject} />
      {format === 'root' ? <TemplateFields form={template} onChange={setTemplate} /> : null}
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
