"""The source ``folder:PATH``: acquisitions in files, as at APS 8-ID, become the documents of Bluesky runs."""

from ainerd_folder._acquisition import AcquisitionFiles
from ainerd_folder._folder import Folder, FolderOfAcquisitions, folder_documents

__all__ = ["AcquisitionFiles", "Folder", "FolderOfAcquisitions", "folder_documents"]
