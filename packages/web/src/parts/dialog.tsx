import { Modal } from '@mantine/core'
import type { ReactNode } from 'react'
import { useText } from '../i18n/texts.ts'

export interface DialogProps {
  readonly title: string
  /** As wide as a sentence needs when absent. */
  readonly size?: 'lg' | 'xl'
  readonly onClose: () => void
  readonly children: ReactNode
}

/** Before the page, until it is closed; it is there for as long as it is drawn. */
export function Dialog({ title, size, onClose, children }: DialogProps) {
  const t = useText()
  return (
    <Modal
      opened
      onClose={onClose}
      {...(size ? { size } : {})}
      title={title}
      closeButtonProps={{ 'aria-label': t('word.close') }}
    >
      {children}
    </Modal>
  )
}
