import { Button } from '@mantine/core'
import { useNavigate } from '@tanstack/react-router'
import { useText } from '../i18n/texts.ts'
import { Empty, Page } from '../parts/page.tsx'

export function NotFoundPage() {
  const t = useText()
  const navigate = useNavigate()
  return (
    <Page>
      <Empty isPage icon="search" title={t('notFound.title')} text={t('notFound.text')}>
        <Button onClick={() => void navigate({ to: '/' })}>{t('nav.overview')}</Button>
      </Empty>
    </Page>
  )
}
